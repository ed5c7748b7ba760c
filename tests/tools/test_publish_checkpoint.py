"""`tools/publish_checkpoint.py` writes weights and nothing of the training, under their hash, with a record."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.logging import HistoryBuffer

from resnest_mm.models import ResNeSt
from resnest_mm.weights.commands.publish import Publication, plain
from resnest_mm.weights.commands.record_draft import draft_record, normalisation
from resnest_mm.weights.io.contents import Checkpoint
from resnest_mm.weights.records.record import GLUON_MEAN, GLUON_STD, IMAGENET_MEAN, Record
from tests.support.hostile_files import EXAMPLES, HOSTILE, files_in, payloads
from tests.support.made_checkpoints import OWN, Tool, equal, expect_refusal

HISTORY = HistoryBuffer([1.0], [1])
Capture = pytest.CaptureFixture[str]
CFG = 'model = dict(\n    data_preprocessor=dict(\n        mean=[\n            123.68,\n            116.779,\n            103.939,\n        ],\n        std=[\n            58.393,\n            57.12,\n            57.375,\n        ],\n        type="DetDataPreprocessor"))\n'  # noqa: E501


def training(**more: Any) -> dict[str, Any]:
    """Return what mmengine saves in a training."""
    return {
        'state_dict': OWN,
        'meta': {
            'epoch': 12,
            'cfg': CFG,
            'mmengine_version': '0.10.7',
            'dataset_meta': {'classes': ('cat', 'dog'), 'palette': np.array([[1, 2, 3]]), 'score': np.float64(0.5)},
            'hook_msgs': {'best_score': 1.0},
            'history': HISTORY,
        },
        'optimizer': {'state': {0: {'momentum_buffer': torch.ones(3)}}},
        'param_schedulers': [{'last_step': 3}],
        'message_hub': {'log_scalars': {'loss': HISTORY}},
        **more,
    }


def published_file(folder: Path) -> Path:
    """Return the one file in a folder."""
    (path,) = folder.iterdir()
    return path


def test_the_weights_are_kept_and_the_training_is_not(tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    source = tmp_path / 'epoch_12.pth'
    torch.save(training(), source)
    assert tool('publish_checkpoint', [str(source), str(tmp_path / 'new' / 'out')]) == 0
    path = published_file(tmp_path / 'new' / 'out')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name == f'epoch_12-{digest[:8]}.pth'
    content = torch.load(path, weights_only=True)
    assert set(content) == {'state_dict', 'meta'}
    assert equal(content['state_dict'], OWN)
    meta = content['meta']
    assert (meta['epoch'], meta['cfg'], meta['mmengine_version']) == (12, CFG, '0.10.7')
    assert meta['dataset_meta'] == {'classes': ('cat', 'dog'), 'palette': [[1, 2, 3]], 'score': 0.5}
    assert meta['source'] == 'epoch_12.pth'
    assert meta['source_sha256'] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert meta['torch_version'] == torch.__version__
    assert re.match(r'\d+\.\d+', meta['resnest_mm_version'])
    assert 'hook_msgs' not in meta
    assert 'history' not in meta
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f'published: {path}'
    assert out[1] == 'stripped: message_hub, optimizer, param_schedulers'
    assert out[2].startswith('# no record: the backbone is none of the named networks')


def test_the_name_replaces_an_old_hash_and_is_the_same_every_time(tool: Tool, tmp_path: Path) -> None:
    source = tmp_path / 'net-01234567.pth'
    torch.save(training(), source)
    for folder in ('one', 'two'):
        assert tool('publish_checkpoint', [str(source), str(tmp_path / folder)]) == 0
    one, two = published_file(tmp_path / 'one'), published_file(tmp_path / 'two')
    assert one.name == two.name
    assert re.fullmatch(r'net-[0-9a-f]{8}\.pth', one.name)
    assert one.read_bytes() == two.read_bytes()


def test_a_published_file_is_replaced_only_by_force(tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    source = tmp_path / 'net.pth'
    torch.save(training(), source)
    arguments = [str(source), str(tmp_path / 'out')]
    assert tool('publish_checkpoint', arguments) == 0
    assert 'exists already' in expect_refusal(tool, 'publish_checkpoint', arguments, tmp_path, capsys)
    assert tool('publish_checkpoint', [*arguments, '--force']) == 0


@pytest.mark.parametrize(
    ('options', 'value', 'kept'),
    [([], 1.0, False), (['--keep-ema'], 1.0, True), (['--entry', 'ema_state_dict'], 2.0, False)],
)
def test_averaged_weights(options: list[str], value: float, kept: bool, tool: Tool, tmp_path: Path) -> None:
    """Mmengine saves the average as `state_dict`, and what it goes on training as `ema_state_dict`."""
    ema = {'module.a': torch.tensor(2.0), 'steps': torch.tensor(7)}
    torch.save({'state_dict': {'a': torch.tensor(1.0)}, 'ema_state_dict': ema}, tmp_path / 'in.pth')
    assert tool('publish_checkpoint', [str(tmp_path / 'in.pth'), str(tmp_path / 'out'), *options]) == 0
    content = torch.load(published_file(tmp_path / 'out'), weights_only=True)
    assert next(iter(content['state_dict'].values())).item() == value
    assert ('ema_state_dict' in content) == kept
    assert not kept or content['ema_state_dict'] == ema


WRONG = {
    'nan': (['nan.pth', 'out'], 'nan.pth has NaN or Inf in 1 tensors: a (1 of 2); publish another one'),
    'no-ema': (['in.pth', 'out', '--keep-ema'], "in.pth has no entry 'ema_state_dict' with tensors to keep"),
    'file': (['in.pth', 'nan.pth'], 'nan.pth is a file; name a folder'),
    'missing': (['gone.pth', 'out'], 'gone.pth: there is no such file'),
    'folder': (['out', 'out'], 'no such file'),
    'one-argument': (['in.pth'], 'out_dir'),
}


@pytest.mark.parametrize('kind', WRONG)
def test_a_mistake_is_one_line_and_writes_nothing(
    kind: str, tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({'a': torch.ones(1)}, 'in.pth')
    torch.save({'a': torch.tensor([1.0, float('nan')])}, 'nan.pth')
    arguments, message = WRONG[kind]
    assert message in expect_refusal(tool, 'publish_checkpoint', arguments, tmp_path, capsys)


def test_a_failed_write_leaves_no_folder(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    torch.save({'a': torch.ones(1)}, tmp_path / 'in.pth')

    def full(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(torch, 'save', full)
    message = expect_refusal(
        tool, 'publish_checkpoint', [tmp_path / 'in.pth', tmp_path / 'new' / 'out'], tmp_path, capsys
    )
    assert 'No space left' in message


@pytest.mark.parametrize('name', HOSTILE)
def test_a_malicious_file_runs_nothing(name: str, tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    for evil in payloads(tmp_path / 'trace').values():
        HOSTILE[name](tmp_path / name, evil)
        arguments = [tmp_path / name, tmp_path / 'out']
        assert 'could run code' in expect_refusal(tool, 'publish_checkpoint', arguments, tmp_path, capsys)


def test_a_malicious_config_in_the_meta_is_not_run(tool: Tool, tmp_path: Path) -> None:
    trace = tmp_path / 'trace'
    torch.save({'state_dict': OWN, 'meta': {'cfg': f'open({str(trace)!r}, "w")\n{CFG}'}}, tmp_path / 'in.pth')
    assert tool('publish_checkpoint', [str(tmp_path / 'in.pth'), str(tmp_path / 'out')]) == 0
    assert not trace.exists()


def publication(state: dict[str, torch.Tensor], meta: dict[str, Any]) -> Publication:
    checkpoint = Checkpoint(tensors=state, entry=None, extras={}, skipped=())
    return Publication(Path('net_1x-00112233.pth'), '00112233' * 8, checkpoint, meta, ())


def shapes(prefix: str, **arguments: Any) -> dict[str, torch.Tensor]:
    with torch.device('meta'):
        return {f'{prefix}{name}': value for name, value in ResNeSt(**arguments).state_dict().items()}


def test_the_record_is_one() -> None:
    text = draft_record(publication({**shapes('backbone.', depth=14), 'neck.a.weight': torch.ones(1)}, {'cfg': CFG}))
    assert eval(text, {'Record': Record}) == Record(
        name='net_1x',
        file_name='net_1x-00112233.pth',
        mirrors=(),
        variant='resnest14',
        layout='mmdet',
        part='detector',
        prefix='backbone.',
        digest='00112233' * 8,
        mean=GLUON_MEAN,
        std=GLUON_STD,
    )
    assert text.endswith(')  # fill in mirrors, licence and metrics')


def test_the_record_says_what_it_does_not_know() -> None:
    text = draft_record(publication(shapes('', depth=50), {}))
    assert eval(text, {'Record': Record}).mean == IMAGENET_MEAN
    assert 'check mean and std: the file has no config with them' in text
    assert 'check variant: resnest50, resnest50_fast_2s1x64d have the same shapes' in text
    assert draft_record(publication({'a': torch.ones(1)}, {})).startswith('# no record: no ResNeSt')


@pytest.mark.parametrize(
    'cfg', [None, 3, '', 'mean=[1, 2]', 'mean=[a, b, c]', 'mean=[1, 2, inf]', 'mean=[' + '1,' * 999]
)
def test_a_config_without_plain_numbers_gives_the_usual_ones(cfg: object) -> None:
    assert normalisation({'cfg': cfg})[0] == IMAGENET_MEAN


def test_plain_refuses_what_a_reader_would() -> None:
    assert plain({'a': (np.int64(3), [np.array([1.5])], None)}) == {'a': (3, [[1.5]], None)}
    for value in (HISTORY, {'a': {1, 2}}, [object()], np.array([object()])):
        with pytest.raises(TypeError, match='is no plain value'):
            plain(value)


@EXAMPLES
@given(content=st.binary(max_size=200), start=st.sampled_from([b'', b'PK\x03\x04', b'\x80\x02', b'\x80\x02}']))
def test_random_bytes_are_refused(content: bytes, start: bytes, tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / 'in.pth').write_bytes(start + content)
    expect_refusal(tool, 'publish_checkpoint', [tmp_path / 'in.pth', tmp_path / 'out'], tmp_path, capsys)


META = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.just(np.float32(2)) | st.just(HISTORY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@EXAMPLES
@given(meta=META)
def test_whatever_the_meta_holds_the_published_file_loads_anywhere(meta: object, tool: Tool, tmp_path: Path) -> None:
    torch.save({'state_dict': {'a': torch.ones(2)}, 'meta': meta}, tmp_path / 'in.pth')
    assert tool('publish_checkpoint', [str(tmp_path / 'in.pth'), str(tmp_path / 'out'), '--force']) == 0
    for path in (tmp_path / 'out').iterdir():
        before = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        try:
            assert torch.load(path, weights_only=True)['state_dict']['a'].tolist() == [1.0, 1.0]
        finally:
            torch.serialization.add_safe_globals(before)
        path.unlink()


def test_nothing_is_left_beside_the_published_file(tool: Tool, tmp_path: Path) -> None:
    torch.save(training(), tmp_path / 'in.pth')
    assert tool('publish_checkpoint', [str(tmp_path / 'in.pth'), str(tmp_path / 'out')]) == 0
    assert len(files_in(tmp_path / 'out')) == 1


def test_help_has_an_example(tool: Tool, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        tool('publish_checkpoint', ['--help'])
    assert caught.value.code == 0
    assert 'python tools/publish_checkpoint.py work_dirs/' in capsys.readouterr().out
