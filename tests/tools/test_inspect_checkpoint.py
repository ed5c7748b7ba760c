"""`tools/inspect_checkpoint.py` says what a file is, and the line it prints loads the file."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from mmengine.logging import HistoryBuffer

from resnest_mm.models import ResNeSt
from resnest_mm.registry import MODELS
from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.layouts.tables import LAYOUTS
from tests.support.hostile_files import EXAMPLES, HOSTILE, files_in, payloads
from tests.support.made_checkpoints import OWN, Tool, encoding_segmentor, expect_refusal, mmdet_detector, official

Capture = pytest.CaptureFixture[str]
PARAMETERS = sum(value.numel() for name, value in OWN.items() if 'running_' not in name and 'num_batches' not in name)


def inspect(tool: Tool, capsys: Capture, *arguments: object) -> dict[str, str]:
    """Return the printed table by its first column; nothing may have been written."""
    path = Path(str(arguments[0]))
    before = files_in(path.parent)
    capsys.readouterr()
    assert tool('inspect_checkpoint', [str(argument) for argument in arguments]) == 0
    assert files_in(path.parent) == before
    return dict(re.split(r'  +', line, maxsplit=1) for line in capsys.readouterr().out.splitlines())


def test_a_file_is_described_from_size_to_use(tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / 'own.pth'
    state = {**OWN, 'stem.1.bias': torch.tensor([1.0, float('nan'), float('inf'), 1.0])}
    torch.save(
        {'state_dict': state, 'meta': {}, 'optimizer': {}, 'message_hub': {'a': HistoryBuffer([1.0], [1])}}, path
    )
    table = inspect(tool, capsys, path)
    assert table['file'].startswith(f'{path} (')
    assert table['sha256'] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert table['checksums'] == 'right in each part'
    assert table['tensors'] == f"150 in the entry 'state_dict', {PARAMETERS / 1e6:.2f} M parameters"
    assert table['dtype'] == 'float32 x 127, int64 x 23'
    assert table['NaN or Inf'] == '2 in 1 tensors, e.g. stem.1.bias'
    assert table['optimiser'] == 'inside: optimizer'
    assert table['also inside'] == 'meta, message_hub'
    assert table['layout'] == 'mmdet backbone'
    assert table['backbone'] == (
        'depth 14 (blocks 1, 1, 1, 1), radix 2, groups 1, base width 128, stem 8, base channels 4'
    )
    assert table['network'] == 'none of the named ones'
    assert all(table[f'to {layout}'] == 'backbone yes' for layout in LAYOUTS if layout != 'mmdet')


def test_the_line_to_use_it_builds_and_fills_a_backbone(tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    torch.manual_seed(0)
    net = ResNeSt(14, stem_channels=8, base_channels=16, radix=1)
    path = tmp_path / 'net.pth'
    torch.save({'state_dict': {f'backbone.{name}': value for name, value in net.state_dict().items()}}, path)
    table = inspect(tool, capsys, path)
    backbone = MODELS.build(eval(table['backbone=']))
    backbone.init_weights()
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize(
    'layout', [layout for layout in LAYOUTS if layout not in ('mmdet', 'zcls-bias', 'glasses-dense')]
)
def test_the_printed_command_makes_the_file_that_the_printed_line_loads(
    layout: str, tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    net = ResNeSt(14, stem_channels=8, base_channels=16)
    torch.save(convert_backbone(net.state_dict(), target=layout), 'theirs.pth')
    table = inspect(tool, capsys, 'theirs.pth')
    assert table['layout'].startswith(f'{layout} backbone')
    command = table['to use it'].split()
    assert command[:2] == ['python', 'tools/convert_checkpoint.py']
    assert tool('convert_checkpoint', command[2:]) == 0
    backbone = MODELS.build(eval(table['backbone=']))
    backbone.init_weights()
    assert torch.equal(backbone.layer4[0].conv3.weight, net.layer4[0].conv3.weight)


def test_a_named_network_is_named(tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    with torch.device('meta'):
        net = ResNeSt(14)
    state = {
        n: torch.zeros(v.shape, dtype=torch.half if v.is_floating_point() else v.dtype)
        for n, v in net.state_dict().items()
    }
    torch.save(convert_backbone(state, target='official'), tmp_path / 'named.pth')
    table = inspect(tool, capsys, tmp_path / 'named.pth')
    assert table['network'] == 'resnest14'
    assert table['dtype'].startswith('float16 x ')
    assert "ResNeSt', variant='resnest14', init_cfg=" in table['backbone=']


def test_whole_models_say_what_they_convert_to(tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    torch.save({'state_dict': mmdet_detector()}, tmp_path / 'detector.pth')
    table = inspect(tool, capsys, tmp_path / 'detector.pth')
    assert table['layout'] == "mmdet detector, the backbone under 'backbone.'"
    assert re.match(r'detector refused: .*; backbone yes$', table['to detectron2'])
    assert table['load_from='] == repr((tmp_path / 'detector.pth').as_posix())
    torch.save(encoding_segmentor(), tmp_path / 'segmentor.pth')
    table = inspect(tool, capsys, tmp_path / 'segmentor.pth')
    assert table['to mmdet'] == 'segmentor yes; backbone yes'


def test_what_is_no_complete_resnest_is_described_as_far_as_it_goes(
    tool: Tool, tmp_path: Path, capsys: Capture
) -> None:
    torch.save({'conv1.weight': torch.ones(4, 3, 7, 7), 'epoch': 3}, tmp_path / 'other.pth')
    table = inspect(tool, capsys, tmp_path / 'other.pth')
    assert table['tensors'] == '1, 0.00 M parameters'
    assert table['no tensors'] == 'epoch'
    assert table['layout'].startswith('unknown: no ResNeSt of a known layout is among the 1 keys')
    lost = {name: value for name, value in official().items() if name != 'layer2.0.bn1.bias'}
    torch.save(lost, tmp_path / 'lost.pth')
    table = inspect(tool, capsys, tmp_path / 'lost.pth')
    assert table['layout'] == 'official backbone'
    assert table['backbone'].endswith('1 missing: layer2.0.bn1.bias')


def test_another_entry_is_inspected(tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    torch.save({'state_dict': OWN, 'state_dict_ema': {'a': torch.ones(3)}}, tmp_path / 'in.pth')
    table = inspect(tool, capsys, tmp_path / 'in.pth', '--entry', 'state_dict_ema')
    assert table['tensors'] == "1 in the entry 'state_dict_ema', 0.00 M parameters"


def test_numpy_files_are_inspected(tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    np.savez(tmp_path / 'in.npz', **{name: value.numpy() for name, value in OWN.items()})
    table = inspect(tool, capsys, tmp_path / 'in.npz')
    assert table['file'].endswith('numpy archive)')
    assert table['layout'] == 'mmdet backbone'


@pytest.mark.parametrize('name', HOSTILE)
def test_a_malicious_file_runs_nothing(name: str, tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    for evil in payloads(tmp_path / 'trace').values():
        HOSTILE[name](tmp_path / name, evil)
        assert 'could run code' in expect_refusal(tool, 'inspect_checkpoint', [tmp_path / name], tmp_path, capsys)


@pytest.mark.parametrize('kind', ['missing', 'folder', 'empty', 'no-file'])
def test_a_mistake_is_one_line(kind: str, tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'empty').touch()
    arguments = [] if kind == 'no-file' else [tmp_path / kind]
    expect_refusal(tool, 'inspect_checkpoint', arguments, tmp_path, capsys)


STATES = st.dictionaries(
    st.sampled_from(list(OWN)) | st.text(max_size=9),
    st.sampled_from(
        [torch.ones(1), torch.ones(0), torch.ones(2, 3, 1, 1), torch.ones((), dtype=torch.bool), torch.ones(2).cfloat()]
    ),
    min_size=1,
    max_size=6,
)


@EXAMPLES
@given(changes=STATES, whole=st.booleans())
def test_any_tensors_are_described(
    changes: dict[str, torch.Tensor], whole: bool, tool: Tool, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / 'in.pth'
    torch.save({**OWN, **changes} if whole else changes, path)
    assert tool('inspect_checkpoint', [str(path)]) == 0
    assert hashlib.sha256(path.read_bytes()).hexdigest() in capsys.readouterr().out


@EXAMPLES
@given(content=st.binary(max_size=200), start=st.sampled_from([b'', b'PK\x03\x04', b'\x80\x02', b'\x80\x02}']))
def test_random_bytes_are_refused(content: bytes, start: bytes, tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    # A bytearray that is larger than the memory, of which CPython writes a line of its own to stderr.
    assume(b'\x96' not in content)
    (tmp_path / 'in.pth').write_bytes(start + content)
    expect_refusal(tool, 'inspect_checkpoint', [tmp_path / 'in.pth'], tmp_path, capsys)


def test_help_has_examples(tool: Tool, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        tool('inspect_checkpoint', ['--help'])
    assert caught.value.code == 0
    assert 'python tools/inspect_checkpoint.py resnest50-528c19ca.pth' in capsys.readouterr().out
