"""A checkpoint's keys say what it is, whatever stands before them."""

from __future__ import annotations

import pytest

from resnest_mm.errors import ConversionError
from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.layouts.detect import DETECTABLE, detect_layout
from resnest_mm.weights.layouts.tables import LAYOUTS
from tests.support import key_lists
from tests.support.tiny_backbones import tiny

SAME_KEYS = {'zcls-bias': 'zcls', 'glasses-dense': 'glasses'}
STATE = dict(tiny(num_stages=1).state_dict())


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('wrapper', ['', 'module.', 'model.module.', 'ema_state_dict.'])
def test_each_layout_is_found_behind_any_prefix(layout: str, wrapper: str) -> None:
    """Wrapped and averaged models put prefixes of their own before the keys."""
    converted = convert_backbone(STATE, target=layout)
    found = detect_layout(f'{wrapper}{key}' for key in converted)
    assert found.layout.name == SAME_KEYS.get(layout, layout)
    assert (found.part, found.prefix) == ('backbone', wrapper + LAYOUTS[layout].prefix)
    assert all(f'is a key of the {found.layout.title}' in line for line in found.evidence[:3])
    assert found.evidence[0].startswith(found.prefix)


@pytest.mark.parametrize('head', ['fc', 'head.fc'])
def test_classifier_is_no_reason_to_call_it_a_model(head: str) -> None:
    """An ImageNet checkpoint is a backbone, and its classifier may be outside the backbone's prefix."""
    layout, prefix = ('official', '') if head == 'fc' else ('mmpretrain', 'backbone.')
    keys = [*convert_backbone(STATE, target=layout), f'{head}.weight', f'{head}.bias']
    assert (detect_layout(keys).part, detect_layout(keys).prefix) == ('backbone', prefix)


@pytest.mark.parametrize(
    ('keys', 'layout', 'part', 'prefix'),
    [
        (key_lists.detector(next(iter(key_lists.DETECTORS.values()))), 'detectron2', 'detector', ''),
        (key_lists.segmentor('FCN_ResNeSt50_ADE'), 'official', 'segmentor', ''),
        (key_lists.classifier(50), 'official', 'backbone', ''),
        ([*(f'backbone.{key}' for key in STATE), 'neck.x', 'rpn_head.y'], 'mmdet', 'detector', ''),
        ([*(f'module.backbone.{key}' for key in STATE), 'module.decode_head.x'], 'mmdet', 'segmentor', 'module.'),
        ([*(f'backbone.{key}' for key in STATE), 'cls_head.x'], 'mmdet', 'model', ''),
    ],
)
def test_whole_models_are_told_apart(keys: list[str], layout: str, part: str, prefix: str) -> None:
    """The part decides which conversion runs."""
    found = detect_layout(keys)
    assert (found.layout.name, found.part) == (layout, part)
    assert found.prefix.startswith(prefix)
    endings = {'backbone': 'except a classifier at most', 'model': 'is not a key of a backbone'}
    assert found.evidence[-1].endswith(endings.get(part, f'is a key of a {part}'))


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ([], 'among the 0 keys'),
        (
            ['a', 'b', 'c', 'd'],
            r'among the 4 keys \(a, b, c and 1 more\)\. Known are official, mmdet, .*name it as the source',
        ),
        ([f'other{key}' for key in STATE], r'among the \d+ keys \(otherstem.0.weight, .*\)\. Known are'),
        (['layer1.0.conv1.weight', 'conv1.weight'], 'among the 2 keys .* of a ResNet without split attention'),
        (
            [key for key in STATE if key != 'stem.1.weight'],
            'the mmdet and mmseg layout is closest, but has stem.1.weight',
        ),
        ([f'{w}.{key}' for w in ('teacher', 'student') for key in STATE], r"several .*'teacher.' .* 'student.' "),
    ],
)
def test_what_is_no_single_resnest_is_an_error(keys: list[str], message: str) -> None:
    """The message says what is wrong: no ResNeSt, a plain ResNet, a missing marker, or several ResNeSts."""
    with pytest.raises(ConversionError, match=message):
        detect_layout(keys)


def test_layouts_that_keys_cannot_tell_apart_have_the_same_keys() -> None:
    """Markers decide alone: two layouts may share them only if they differ in values, not in any other key."""
    for layout in LAYOUTS.values():
        (first,) = (other for other in DETECTABLE if other.markers == layout.markers)
        for pooled in (False, True):
            assert [layout.foreign_key(key, pooled=pooled) for key in STATE] == [
                first.foreign_key(key, pooled=pooled) for key in STATE
            ]
    assert {name: same for name, same in SAME_KEYS.items() if LAYOUTS[name] in DETECTABLE} == {}
