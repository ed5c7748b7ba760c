"""`tools/convert_checkpoint.py`: files in, files out with the same values, with a report, or nothing at all."""

from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.layouts.names import COUNTER
from resnest_mm.weights.layouts.tables import LAYOUTS
from tests.support.hostile_files import EXAMPLES, HOSTILE, files_in, payloads
from tests.support.made_checkpoints import (
    OWN,
    State,
    Tool,
    encoding_segmentor,
    equal,
    expect_refusal,
    load,
    mmdet_detector,
    official,
)

Capture = pytest.CaptureFixture[str]


def rows(text: str) -> dict[str, str]:
    """Return the table by its first column; of repeated words the last."""
    return dict(re.split(r'  +', line, maxsplit=1) for line in text.splitlines())


def test_an_official_file_becomes_ours_with_a_report(tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    source, target = tmp_path / 'in.pth', tmp_path / 'out.pth'
    torch.save(official(), source)
    assert tool('convert_checkpoint', [str(source), str(target)]) == 0
    assert equal(load(target), OWN)
    table = rows(capsys.readouterr().out)
    assert table['layout'] == 'official backbone'
    assert table['read'] == '152 tensors'
    assert table['mapped'] == '150 tensors'
    assert table['dropped'] == '2 tensors: fc.weight, fc.bias'
    assert table['written'] == '150 tensors'
    assert table['sha256'] == hashlib.sha256(target.read_bytes()).hexdigest()
    assert hashlib.sha256(source.read_bytes()).hexdigest() in table['source']
    meta = torch.load(target, weights_only=True)['meta']
    assert meta['source'] == 'in.pth'
    assert meta['source_sha256'] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert (meta['layout'], meta['part']) == ('mmdet', 'backbone')
    assert re.fullmatch(r'\d+\.\d+\.\d+.*', meta['resnest_mm_version'])


@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_layout_goes_out_and_comes_back(layout: str, tool: Tool, tmp_path: Path) -> None:
    torch.save({'state_dict': OWN}, tmp_path / 'own.pth')
    there, back = tmp_path / 'there.pth', tmp_path / 'back.pth'
    assert tool('convert_checkpoint', [str(tmp_path / 'own.pth'), str(there), '--to', layout]) == 0
    assert equal(load(there), convert_backbone(OWN, target=layout))
    assert tool('convert_checkpoint', [str(there), str(back), '--from', layout]) == 0
    returned = load(back)
    assert equal(returned, convert_backbone(load(there), source=layout))
    if layout != 'zcls':  # it has no biases in the gate, so that those went into a running mean
        assert all(torch.equal(returned[name], value) for name, value in OWN.items() if not name.endswith(COUNTER))


def test_tensors_lie_where_each_software_looks_for_them(tool: Tool, tmp_path: Path) -> None:
    torch.save(OWN, tmp_path / 'own.pth')
    for layout, entries in {
        'official': None,
        'detectron2': {'model', 'meta'},
        'mmpretrain': {'state_dict', 'meta'},
    }.items():
        target = tmp_path / f'{layout}.pth'
        assert tool('convert_checkpoint', [str(tmp_path / 'own.pth'), str(target), '--to', layout]) == 0
        content = torch.load(target, weights_only=True)
        assert entries is None or set(content) == entries
        assert entries is not None or all(isinstance(value, torch.Tensor) for value in content.values())


@pytest.mark.parametrize('ending', ['pkl', 'npz', 'safetensors'])
def test_files_of_other_software_are_read(ending: str, tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    source = tmp_path / f'in.{ending}'
    if ending == 'pkl':
        state = convert_backbone(OWN, target='detectron2')
        model = {name: value.numpy() for name, value in state.items()}
        source.write_bytes(pickle.dumps({'model': model, '__author__': 'x', 'matching_heuristics': True}, protocol=2))
    elif ending == 'npz':
        state = convert_backbone(OWN, target='gluon')
        np.savez(source, **{name: value.numpy() for name, value in state.items()})
    else:
        state = OWN
        pytest.importorskip('safetensors.torch').save_file(state, source)
    assert tool('convert_checkpoint', [str(source), str(tmp_path / 'out.pth')]) == 0
    assert equal(load(tmp_path / 'out.pth'), convert_backbone(state))
    assert rows(capsys.readouterr().out)['read'] == f'{len(state)} tensors'


def test_safetensors_are_written(tool: Tool, tmp_path: Path) -> None:
    safetensors = pytest.importorskip('safetensors.torch')
    torch.save(official(), tmp_path / 'in.pth')
    assert tool('convert_checkpoint', [str(tmp_path / 'in.pth'), str(tmp_path / 'out.safetensors')]) == 0
    assert equal(safetensors.load_file(tmp_path / 'out.safetensors'), OWN)


@pytest.mark.parametrize('options', [['--part', 'backbone'], ['--prefix', 'backbone.'], ['--prefix', 'backbone']])
def test_the_backbone_is_taken_out_of_a_detector(
    options: list[str], tool: Tool, tmp_path: Path, capsys: Capture
) -> None:
    torch.save({'state_dict': mmdet_detector(), 'optimizer': {}}, tmp_path / 'in.pth')
    assert tool('convert_checkpoint', [str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth'), *options]) == 0
    assert equal(load(tmp_path / 'out.pth'), OWN)
    table = rows(capsys.readouterr().out)
    assert table['mapped'] == '150 tensors'
    assert table['dropped'] == '2 tensors: neck.lateral_convs.0.conv.weight, rpn_head.rpn_cls.bias'
    assert table['left out'] == 'the entries optimizer'


def test_a_whole_detector_keeps_its_heads(tool: Tool, tmp_path: Path) -> None:
    torch.save({'model': mmdet_detector()}, tmp_path / 'in.pth')
    assert tool('convert_checkpoint', [str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth')]) == 0
    assert equal(load(tmp_path / 'out.pth'), mmdet_detector())


def test_a_segmentor_goes_to_mmseg_and_comes_back(tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    theirs = encoding_segmentor()
    torch.save({'state_dict': theirs}, tmp_path / 'in.pth')
    there, back = str(tmp_path / 'there.pth'), str(tmp_path / 'back.pth')
    assert tool('convert_checkpoint', [str(tmp_path / 'in.pth'), there, '--to', 'mmseg']) == 0
    table = rows(capsys.readouterr().out)
    assert table['layout'].startswith('official segmentor')
    assert table['mapped'] == table['written'] == f'{len(theirs)} tensors'
    ours = load(Path(there))
    assert torch.equal(ours['decode_head.conv_seg.weight'], theirs['head.conv5.4.weight'])
    assert torch.equal(ours['backbone.stem.7.bias'], OWN['stem.7.bias'])
    assert tool('convert_checkpoint', [there, back, '--to', 'encoding']) == 0
    assert equal(load(Path(back)), theirs)


def test_an_entry_is_chosen(tool: Tool, tmp_path: Path) -> None:
    other = {name: value + 1 for name, value in OWN.items()}
    torch.save({'state_dict': OWN, 'ema_state_dict': other}, tmp_path / 'in.pth')
    arguments = [str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth'), '--entry', 'ema_state_dict']
    assert tool('convert_checkpoint', arguments) == 0
    assert equal(load(tmp_path / 'out.pth'), other)


AVERAGED = {'steps': torch.tensor(7), **{f'module.{name}': value for name, value in OWN.items()}}
"""What mmengine's EMAHook saves as `ema_state_dict`: the averaged model, and the number of updates beside it."""


@pytest.mark.parametrize('options', [[], ['--prefix', 'module.'], ['--part', 'backbone'], ['--from', 'mmdet']])
def test_averaged_weights_are_converted(options: list[str], tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    """The number of updates is an integer, which no tensor of the model is; it is left out and named."""
    torch.save({'state_dict': {'a': torch.ones(1)}, 'ema_state_dict': AVERAGED}, tmp_path / 'in.pth')
    arguments = [str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth'), '--entry', 'ema_state_dict', *options]
    assert tool('convert_checkpoint', arguments) == 0
    assert equal(load(tmp_path / 'out.pth'), OWN)
    table = rows(capsys.readouterr().out)
    assert (table['read'], table['mapped'], table['dropped']) == ('151 tensors', '150 tensors', '1 tensors: steps')


def test_averaged_weights_of_a_whole_detector_are_converted(tool: Tool, tmp_path: Path) -> None:
    """The detector is under `module.`, and the number of updates is none of its tensors."""
    averaged = {'steps': torch.tensor(7), **{f'module.{name}': value for name, value in mmdet_detector().items()}}
    torch.save({'ema_state_dict': averaged}, tmp_path / 'in.pth')
    assert tool('convert_checkpoint', [str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth')]) == 0
    assert equal(load(tmp_path / 'out.pth'), mmdet_detector())


@pytest.mark.parametrize('options', [['--part', 'backbone'], ['--prefix', 'backbone'], []])
def test_integers_outside_the_backbone_do_not_matter(options: list[str], tool: Tool, tmp_path: Path) -> None:
    """A head may hold integers, such as a table of strides; only the tensors of a backbone are known to have none."""
    detector = {**mmdet_detector(), 'bbox_head.strides': torch.tensor([4, 8])}
    torch.save(detector, tmp_path / 'in.pth')
    assert tool('convert_checkpoint', [str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth'), *options]) == 0
    assert equal(load(tmp_path / 'out.pth'), OWN if options else detector)


def test_precision_changes_for_floats_only(tool: Tool, tmp_path: Path) -> None:
    torch.save(OWN, tmp_path / 'in.pth')
    arguments = [str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth'), '--dtype', 'float16']
    assert tool('convert_checkpoint', arguments) == 0
    written = load(tmp_path / 'out.pth')
    for name, value in OWN.items():
        assert torch.equal(written[name], value if name.endswith(COUNTER) else value.half())


def test_a_dry_run_says_everything_and_writes_nothing(tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    torch.save(official(), tmp_path / 'in.pth')
    before = files_in(tmp_path)
    assert tool('convert_checkpoint', [str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth'), '--dry-run']) == 0
    assert files_in(tmp_path) == before
    table = rows(capsys.readouterr().out)
    assert table['written'] == 'nothing (--dry-run); it would be 150 tensors'
    assert table['dropped'] == '2 tensors: fc.weight, fc.bias'


def test_counters_without_a_place_are_said(tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    torch.save(OWN, tmp_path / 'in.pth')
    arguments = [str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth'), '--to', 'detectron2']
    assert tool('convert_checkpoint', arguments) == 0
    table = rows(capsys.readouterr().out)
    assert table['no place'] == '8 num_batches_tracked, which the target layout does not have'
    assert table['written'] == '142 tensors'


def test_counters_that_were_left_out_have_not_lost_their_place(tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    """Two are of a head, and are dropped with it; those of the backbone are written."""
    heads = {f'neck.{index}.bn.{COUNTER}': torch.tensor(3) for index in range(2)}
    torch.save({**mmdet_detector(), **heads}, tmp_path / 'in.pth')
    arguments = [str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth'), '--part', 'backbone']
    assert tool('convert_checkpoint', arguments) == 0
    table = rows(capsys.readouterr().out)
    assert table['dropped'].startswith('4 tensors: ')
    assert 'no place' not in table


def test_the_source_is_replaced_only_by_force(tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / 'both.pth'
    torch.save(official(), path)
    message = expect_refusal(tool, 'convert_checkpoint', [path, path], tmp_path, capsys)
    assert 'exists already; say --force' in message
    assert tool('convert_checkpoint', [str(path), str(path), '--force']) == 0
    assert equal(load(path), OWN)


WRONG: dict[str, tuple[list[str], str]] = {
    'no-arguments': ([], 'name SOURCE and TARGET'),
    'no-target': (['in.pth'], 'name SOURCE and TARGET'),
    'missing': (['gone.pth', 'out.pth'], 'gone.pth: there is no such file'),
    'folder': (['folder', 'out.pth'], 'folder: it is a folder'),
    'ending': (['in.pth', 'out.bin'], "ending '.bin' is unknown"),
    'no-folder': (['in.pth', 'gone/out.pth'], 'there is no folder'),
    'layout': (['in.pth', 'out.pth', '--to', 'caffe'], "invalid choice: 'caffe'"),
    'from': (['in.pth', 'out.pth', '--from', 'detectron2'], 'in.pth: this is no complete ResNeSt of the detectron2'),
    'part': (['in.pth', 'out.pth', '--part', 'detector'], 'this is a backbone in the official'),
    'prefix': (['in.pth', 'out.pth', '--prefix', 'student.'], "no key begins with prefix='student.'"),
    'entry': (['in.pth', 'out.pth', '--entry', 'weights'], "it has no entry 'weights'"),
    'stock-heads': (['in.pth', 'out.pth', '--stock-heads'], 'stock heads are for detectors, and this is a backbone'),
    'unknown-key': (['unknown.pth', 'out.pth'], '1 unknown: layer1.0.conv9.weight'),
    'missing-key': (['lost.pth', 'out.pth'], '1 missing: layer3.0.conv3.weight'),
    'shape': (['shape.pth', 'out.pth'], '1 of another shape: layer2.0.bn1.bias (3,) for (16,)'),
    'dtype': (['dtype.pth', 'out.pth'], 'layer2.0.bn1.bias (torch.int32)'),
    'overflow': (['large.pth', 'out.pth', '--dtype', 'float16'], 'float16 cannot hold the numbers of 1 tensors'),
    'no-resnest': (['resnet.pth', 'out.pth'], 'no ResNeSt of a known layout is among the 1 keys'),
}


@pytest.mark.parametrize('kind', WRONG)
def test_a_mistake_is_one_line_and_writes_nothing(
    kind: str, tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    state = official()
    (tmp_path / 'folder').mkdir()
    torch.save(state, 'in.pth')
    torch.save({**state, 'layer1.0.conv9.weight': torch.ones(1)}, 'unknown.pth')
    torch.save({name: value for name, value in state.items() if name != 'layer3.0.conv3.weight'}, 'lost.pth')
    torch.save({**state, 'layer2.0.bn1.bias': torch.ones(3)}, 'shape.pth')
    torch.save({**state, 'layer2.0.bn1.bias': torch.ones(16, dtype=torch.int32)}, 'dtype.pth')
    torch.save({**state, 'layer2.0.bn1.bias': torch.full((16,), 1e6)}, 'large.pth')
    torch.save({'conv1.weight': torch.ones(64, 3, 7, 7)}, 'resnet.pth')
    arguments, message = WRONG[kind]
    assert message in expect_refusal(tool, 'convert_checkpoint', arguments, tmp_path, capsys)


@pytest.mark.parametrize('name', HOSTILE)
def test_a_malicious_file_runs_nothing(name: str, tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    for evil in payloads(tmp_path / 'trace').values():
        HOSTILE[name](tmp_path / name, evil)
        for options in ([], ['--dry-run'], ['--part', 'backbone'], ['--from', 'official', '--prefix', 'a']):
            arguments = [tmp_path / name, tmp_path / 'out.pth', *options]
            assert 'could run code' in expect_refusal(tool, 'convert_checkpoint', arguments, tmp_path, capsys)


OFFICIAL = official()
KEYS = st.sampled_from([name for name in OFFICIAL if not name.endswith(COUNTER)])
WRONG_VALUES = st.sampled_from(
    [torch.ones(1, 1), torch.ones(0), torch.ones(2, dtype=torch.complex64), torch.tensor(True), torch.ones(()), 'text']
)


@EXAMPLES
@given(
    changed=st.dictionaries(KEYS, WRONG_VALUES, max_size=3),
    lost=st.sets(KEYS, max_size=3),
    added=st.dictionaries(st.text(max_size=9), st.just(torch.ones(2)), max_size=3),
)
def test_changed_lost_and_added_tensors_are_refused(
    changed: dict[str, object], lost: set[str], added: State, tool: Tool, tmp_path: Path, capsys: Capture
) -> None:
    classifier = {'fc.weight', 'fc.bias'}
    if changed.keys() | lost | added.keys() <= classifier & lost:
        return  # a checkpoint may be without the classifier
    state = {name: value for name, value in {**OFFICIAL, **changed, **added}.items() if name not in lost}
    torch.save(state, tmp_path / 'in.pth')
    expect_refusal(tool, 'convert_checkpoint', [tmp_path / 'in.pth', tmp_path / 'out.pth'], tmp_path, capsys)


@EXAMPLES
@given(
    content=st.binary(max_size=200),
    start=st.sampled_from([b'', b'PK\x03\x04', b'\x80\x02', b'\x80\x02}', b'x' * 8 + b'{']),
)
def test_random_bytes_are_refused(content: bytes, start: bytes, tool: Tool, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / 'in.pth').write_bytes(start + content)
    expect_refusal(tool, 'convert_checkpoint', [tmp_path / 'in.pth', tmp_path / 'out.pth'], tmp_path, capsys)


def test_the_matrix_is_printed_by_one_command(tool: Tool, capsys: Capture) -> None:
    assert tool('convert_checkpoint', ['--matrix']) == 0
    out = capsys.readouterr().out
    assert all(f'| {layout} |' in out for layout in LAYOUTS)


def test_help_has_examples(tool: Tool, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        tool('convert_checkpoint', ['--help'])
    assert caught.value.code == 0
    assert 'python tools/convert_checkpoint.py resnest50-528c19ca.pth' in capsys.readouterr().out
