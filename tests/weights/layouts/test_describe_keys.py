"""What a message says about keys follows from the detected layout."""

from __future__ import annotations

import pytest

from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.layouts.describe_keys import describe_keys
from resnest_mm.weights.layouts.detect import DETECTABLE
from resnest_mm.weights.layouts.key_layout import KeyLayout
from resnest_mm.weights.layouts.tables import LAYOUTS, OWN
from tests.support.tiny_backbones import tiny

STATE = dict(tiny(num_stages=1).state_dict())
COMMAND = 'python tools/convert_checkpoint.py FILE NEW_FILE'


@pytest.mark.parametrize(
    'layout', [layout for layout in DETECTABLE if layout is not OWN], ids=lambda layout: layout.name
)
@pytest.mark.parametrize('prefix', ['', 'student.'])
@pytest.mark.parametrize('marker', [None, 0, 1])
def test_keys_of_another_layout_are_to_be_converted(layout: KeyLayout, prefix: str, marker: int | None) -> None:
    """Also where the stem's convolution or norm is missing: the rest still says whose keys these are."""
    keys = convert_backbone(STATE, target=layout.name, target_prefix=prefix)
    if marker is not None:
        del keys[f'{prefix}{layout.markers[marker]}']
        if (layout.name, marker) == ('gluon', 1):
            layout = LAYOUTS['official']  # the names of the first norm alone tell these two apart
    found = describe_keys(keys)
    assert found.title.startswith(f'a ResNeSt in the {layout.title}')
    assert found.title.endswith("under the prefix 'student.', as in a whole or wrapped model" if prefix else 'layout')
    assert f'{COMMAND} --part backbone' in found.advice if prefix else COMMAND in found.advice
    assert ('from_official' in found.advice) == (layout.name == 'official' and not prefix)
    assert not found.is_own


@pytest.mark.parametrize('prefix', ['', 'backbone.', 'a.b.'])
def test_own_keys_need_no_conversion(prefix: str) -> None:
    """Only a prefix, or another network, can be the reason why such a checkpoint does not fit."""
    found = describe_keys(prefix + key for key in STATE)
    assert found.title.startswith('a ResNeSt in the mmdet and mmseg layout')
    assert found.is_own == (not prefix)
    assert found.advice.endswith(f'prefix={prefix!r}' if prefix else 'base_width of the file')


@pytest.mark.parametrize(
    ('keys', 'title', 'advice'),
    [
        ([f'{name}.{key}' for name in ('teacher', 'student') for key in STATE],
         "2 ResNeSts, under the prefixes 'student.', 'teacher.'", "prefix='teacher.'"),
        (['conv1.weight', 'layer1.0.conv1.weight'], 'a ResNet without split attention', 'open-mmlab://resnest50'),
        (['backbone.bottom_up.res2.0.conv1.weight'], 'a ResNet without split attention', 'weights of a ResNeSt'),
        (['layer1.0.conv1.weight', 'layer1.0.conv2.fc1.weight'], 'no layout known here', 'rename its keys to those of'),
        ([], 'no layout known here', 'rename its keys'),
    ],
)  # fmt: skip
def test_what_is_no_single_resnest_is_told_apart(keys: list[str], title: str, advice: str) -> None:
    """Each of these needs another remedy."""
    found = describe_keys(keys)
    assert found.title == title
    assert advice in found.advice
    assert not found.is_own
