"""A checkpoint fills the backbone, or is refused with what to do, and then nothing has changed."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from resnest_mm.models import ResNeSt
from resnest_mm.weights import CheckpointError, load_backbone
from resnest_mm.weights.pretrained import Pretrained, read_tensors
from tests.support.renamed_states import State, detectron2, mmpretrain, official, prefixed, resnet
from tests.support.tiny_backbones import changed, scatter, snapshot, tiny


def same(state: State) -> State:
    return state


WRONG: dict[str, tuple[dict[str, Any], Callable[[State], State], dict[str, Any], str]] = {
    # what the file is of, its layout, the backbone, what the message says
    'deeper': (
        {'depth': 26},
        same,
        {},
        r'fills (\d+) of the \1 tensors of this backbone; \d+ unknown: layer1.1.conv1.weight.*'
        r'its stages have \(2, 2, 2, 2\) blocks .* the backbone has \(1, 1, 1, 1\)',
    ),
    'shallower': ({}, same, {'depth': 26}, r'missing: layer1.1.conv1.weight.* blocks .* has \(2, 2, 2, 2\)'),
    'stem': (
        {'stem_channels': 16},
        same,
        {},
        r'of another shape: stem.0.weight \(8, 3, 3, 3\) for \(4, 3, 3, 3\).*its stem 16 channels.* and 8; choose',
    ),
    'radix': ({'radix': 4}, same, {}, r'of another shape: layer1.0.conv2.conv.weight'),
    'official': (
        {},
        official,
        {},
        r'fills \d+ of the \d+ .* the official \(also timm\) layout: rename .*from_official',
    ),
    'detectron2': (
        {},
        detectron2,
        {},
        'the detectron2 layout: rename its keys with python tools/convert_checkpoint.py FILE NEW_FILE',
    ),
    'mmpretrain': ({}, mmpretrain, {}, 'the mmpretrain layout: rename its keys with'),
    'detector': (
        {},
        prefixed('backbone.'),
        {},
        r"fills 0 of the \d+ .* in the mmdet and mmseg layout under the prefix 'backbone.', .*prefix='backbone.'",
    ),
    'data-parallel': ({}, prefixed('module.'), {}, "under the prefix 'module.'.* prefix='module.'"),
    'detectron2-detector': (
        {},
        lambda state: prefixed('backbone.bottom_up.')(detectron2(state)),
        {},
        "the detectron2 layout under the prefix 'backbone.bottom_up.'.*: rename its keys with .* --part backbone",
    ),
    'mmpretrain-classifier': (
        {},
        lambda state: prefixed('backbone.')(mmpretrain(state)),
        {},
        "the mmpretrain layout under the prefix 'backbone.'",
    ),
    'resnet': ({}, resnet, {}, 'a ResNet without split attention: use the weights of a ResNeSt'),
    'nothing': ({}, lambda _: {'a': torch.zeros(1)}, {}, r'fills 0 of the \d+ .* no layout known here'),
}
wrong = pytest.mark.parametrize(('of', 'layout', 'backbone', 'message'), WRONG.values(), ids=WRONG)


@wrong
def test_wrong_file_is_refused_and_nothing_changes(
    of: dict[str, Any], layout: Callable[[State], State], backbone: dict[str, Any], message: str, tmp_path: Path
) -> None:
    torch.save(layout(tiny(**of).state_dict()), tmp_path / 'file.pth')
    model = tiny(**backbone, pretrained=str(tmp_path / 'file.pth'))
    before = snapshot(model)
    with pytest.raises(CheckpointError, match=message) as raised:
        model.init_weights()
    text = str(raised.value)
    assert text.startswith(str(tmp_path / 'file.pth'))
    assert '\n' not in text
    assert text.endswith('To load what fits all the same, say strict=False in init_cfg')
    assert changed(before, model) == set()
    assert not model.has_loaded_weights


@wrong
def test_lenient_loading_takes_what_fits_and_says_so(
    of: dict[str, Any],
    layout: Callable[[State], State],
    backbone: dict[str, Any],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warned: list[str] = []
    monkeypatch.setattr(
        'resnest_mm.weights.fit.print_log',
        lambda text, logger, level=logging.INFO: warned.append(text) if level == logging.WARNING else None,
    )
    source = tiny(**of)
    scatter(source)
    state = layout(source.state_dict())
    torch.save(state, tmp_path / 'file.pth')
    init_cfg = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'file.pth'), 'strict': False}
    model = tiny(**backbone, init_cfg=init_cfg)
    model.init_weights()
    assert len(warned) == 1 and re.search(message, warned[0])
    own = model.state_dict()
    fitting = [key for key, value in state.items() if key in own and value.shape == own[key].shape]
    assert all(torch.equal(own[key], state[key]) for key in fitting)


@pytest.mark.parametrize(
    ('file', 'backbone', 'message'),
    [(101, 50, r'has \(3, 4, 6, 3\) and 64'), (152, 101, r'\(3, 8, 36, 3\) blocks .* has \(3, 4, 23, 3\) and 128')],
)
def test_released_depths_are_told_apart(file: int, backbone: int, message: str) -> None:
    with torch.device('meta'):
        state, model = ResNeSt(file).state_dict(), ResNeSt(backbone)
    with pytest.raises(CheckpointError, match=message):
        load_backbone(model, state)


def test_file_of_two_stages_does_not_fill_three() -> None:
    with pytest.raises(CheckpointError, match=r'missing: layer3\.0\.conv1\.weight'):
        load_backbone(tiny(num_stages=3), tiny(num_stages=2).state_dict())


def test_classifier_and_stages_not_built_are_passed_over() -> None:
    source = tiny()
    scatter(source)
    state = {**source.state_dict(), 'fc.weight': torch.zeros(10, 512), 'fc.bias': torch.zeros(10)}
    backbone = tiny(num_stages=3)
    assert load_backbone(backbone, state) == len(backbone.state_dict())
    assert all(torch.equal(value, state[name]) for name, value in backbone.state_dict().items())
    assert 'fc.weight' in state and 'layer4.0.conv1.weight' in state


def test_missing_batch_counts_are_tolerated() -> None:
    source = tiny(num_stages=1)
    scatter(source)
    state = {k: v for k, v in source.state_dict().items() if not k.endswith('num_batches_tracked')}
    backbone = tiny(num_stages=1)
    assert load_backbone(backbone, state) == len(state)
    assert changed(snapshot(source), backbone) == set()


@pytest.mark.parametrize('key', ['stem.4.running_var', 'layer1.0.conv2.fc2.bias', 'layer1.0.downsample.1.weight'])
def test_any_other_missing_tensor_is_not(key: str) -> None:
    state = {k: v for k, v in tiny(num_stages=1).state_dict().items() if k != key}
    with pytest.raises(CheckpointError, match=f'1 missing: {key}'):
        load_backbone(tiny(num_stages=1), state)


ADDED: dict[str, tuple[dict[str, Any], str]] = {
    # arguments of a backbone with layers that a classifier lacks, and a part of their names
    'offsets': ({'dcn': {'type': 'DCNv2'}, 'stage_with_dcn': (True, True)}, 'conv_offset'),
    'plugins': (
        {'plugins': [{'cfg': {'type': 'ContextBlock', 'ratio': 0.5}, 'position': 'after_conv3'}]},
        'context_block',
    ),
}


@pytest.mark.parametrize(('arguments', 'part'), ADDED.values(), ids=ADDED)
def test_added_layers_are_missing_all_together_or_the_file_is_refused(arguments: dict[str, Any], part: str) -> None:
    """Offsets and plugins may be new, but a file that has some of them is damaged or of another network."""
    backbone = tiny(num_stages=2, **arguments)
    whole = backbone.state_dict()
    added = [key for key in whole if part in key]
    without = {key: value for key, value in whole.items() if key not in added}
    assert added and load_backbone(tiny(num_stages=2, **arguments), without) == len(without)
    assert load_backbone(tiny(num_stages=2, **arguments), whole) == len(whole)
    for lost in (added[:1], added[1:], [key for key in added if key.startswith('layer2')]):
        partly = {key: value for key, value in whole.items() if key not in lost}
        with pytest.raises(CheckpointError, match=f'; {len(lost)} missing: {re.escape(", ".join(lost[:2]))}') as error:
            load_backbone(backbone, partly)
        assert 'set dcn, stage_with_dcn and plugins as in the network of the file' in str(error.value)
        assert 'choose the depth' not in str(error.value)
        assert load_backbone(backbone, partly, strict=False) == len(partly)


def test_one_kind_of_added_layers_may_be_there_without_the_other() -> None:
    """Plugins can be added to a network that was trained with deformable convolutions."""
    deformable = tiny(num_stages=2, **ADDED['offsets'][0])
    both = tiny(num_stages=2, **ADDED['offsets'][0], **ADDED['plugins'][0])
    assert load_backbone(both, deformable.state_dict()) == len(deformable.state_dict()) < len(both.state_dict())


def test_prefix_names_a_part_of_the_file(tmp_path: Path) -> None:
    source = tiny(num_stages=1)
    scatter(source)
    torch.save({'state_dict': prefixed('backbone.')(source.state_dict())}, tmp_path / 'detector.pth')
    for prefix in ('backbone.', 'backbone'):
        init_cfg = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'detector.pth'), 'prefix': prefix}
        backbone = tiny(num_stages=1, init_cfg=init_cfg)
        backbone.init_weights()
        assert changed(snapshot(source), backbone) == set()
    with pytest.raises(CheckpointError, match="no key with prefix='encoder'; its first keys are"):
        Pretrained(str(tmp_path / 'detector.pth'), prefix='encoder')(tiny(num_stages=1))


@pytest.mark.parametrize(
    'name', ['torchvision://resnet50', 'open-mmlab://resnet50_v1c', 'open-mmlab://detectron/resnet101']
)
def test_names_of_resnet_weights_are_refused_at_construction(name: str) -> None:
    for arguments in ({'pretrained': name}, {'init_cfg': {'type': 'Pretrained', 'checkpoint': name}}):
        with pytest.raises(ValueError, match='holds the weights of a ResNet'):
            tiny(**arguments)


@pytest.mark.parametrize('name', ['open-mmlab://resnest50', 'https://host/resnet/resnest50.pth', 'resnet50.pth'])
def test_other_names_are_not(name: str) -> None:
    assert tiny(num_stages=1, pretrained=name).pretrained_init == {'type': 'resnest_mm.Pretrained', 'checkpoint': name}


def missing(folder: Path) -> Path:
    return folder / 'missing.pth'


def truncated(folder: Path) -> Path:
    torch.save(tiny(num_stages=1).state_dict(), folder / 'whole.pth')
    content = (folder / 'whole.pth').read_bytes()
    (folder / 'truncated.pth').write_bytes(content[: len(content) // 2])
    return folder / 'truncated.pth'


def empty(folder: Path) -> Path:
    (folder / 'empty.pth').touch()
    return folder / 'empty.pth'


def text(folder: Path) -> Path:
    (folder / 'page.pth').write_text('<html>404</html>')
    return folder / 'page.pth'


def a_folder(folder: Path) -> Path:
    return folder


def a_list(folder: Path) -> Path:
    torch.save([1, 2], folder / 'list.pth')
    return folder / 'list.pth'


def a_module(folder: Path) -> Path:
    torch.save(nn.Linear(1, 1), folder / 'module.pth')
    return folder / 'module.pth'


READING: dict[Callable[[Path], Path], str] = {
    missing: ' cannot be found: no such file, and no known name',
    truncated: ' cannot be read: it was cut short or damaged; copy or download it again',
    empty: ' cannot be read: it is empty; copy or download it again',
    text: " cannot be read: it begins with b'<html>404</html>'",
    a_folder: ' cannot be read: it is a folder; name a file in it',
    a_list: ' cannot be read: it holds a list, not a dict of tensors',
    a_module: ' cannot be read: it holds torch.nn.modules.linear.Linear, which is refused',
}


@pytest.mark.parametrize(('make', 'expected'), READING.items(), ids=[make.__name__ for make in READING])
def test_unreadable_files_are_reported_in_one_line(make: Callable[[Path], Path], expected: str, tmp_path: Path) -> None:
    """The message begins with the checkpoint, and then gives the reason."""
    file = str(make(tmp_path))
    backbone = tiny(num_stages=1, pretrained=file)
    before = snapshot(backbone)
    with pytest.raises(CheckpointError) as raised:
        backbone.init_weights()
    message = str(raised.value)
    assert message.startswith(f'checkpoint {file!r}{expected}')
    assert '\n' not in message and len(message) < 400
    assert changed(before, backbone) == set()


def test_unknown_name_is_reported_in_one_line() -> None:
    with pytest.raises(CheckpointError, match="'open-mmlab://resnest51' cannot be read"):
        read_tensors('open-mmlab://resnest51')


def test_error_is_a_value_error() -> None:
    """Callers that know nothing of this package can catch it."""
    assert issubclass(CheckpointError, ValueError)


def test_state_dict_handed_in_is_not_changed() -> None:
    state = tiny(num_stages=1).state_dict()
    before = dict(state)
    load_backbone(tiny(num_stages=1, in_channels=1), state)
    assert state.keys() == before.keys()
    assert all(state[key] is before[key] for key in before)
