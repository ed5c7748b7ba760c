"""The named networks: what exists, how large each is, and what is refused."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import nn

from resnest_mm.models import VARIANTS, ResNeSt
from resnest_mm.parity.pair import Pair
from resnest_mm.parity.references import official_pairs

DEPTHS = (14, 26, 50, 101, 152, 200, 269)
FAST = ('1s1x64d', '2s1x64d', '4s1x64d', '1s2x40d', '2s2x40d', '4s2x40d', '1s4x24d')
CLASSIFIER = 2048 * 1000 + 1000
"""Parameters that the published counts include and a backbone does not have."""


def build(**keywords: Any) -> ResNeSt:
    """Build without memory for the weights."""
    with torch.device('meta'):
        return ResNeSt(**keywords)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def official() -> list[Pair]:
    """Return the official networks, none where the package is missing."""
    try:
        importlib.import_module('resnest.torch')
    except ImportError:
        return []
    return official_pairs()


def test_names() -> None:
    assert set(VARIANTS) == {f'resnest{depth}' for depth in DEPTHS} | {f'resnest50_fast_{name}' for name in FAST}


@pytest.mark.parametrize(
    ('depth', 'millions'), [(14, 10.61), (26, 17.07), (50, 27.48), (101, 48.28), (200, 70.20), (269, 110.93)]
)
def test_parameter_count_is_the_published_one(depth: int, millions: float) -> None:
    """14 and 26: as timm publishes them; the others: as the paper's repository does."""
    assert round((count(build(depth=depth)) + CLASSIFIER) / 1e6, 2) == pytest.approx(millions)
    assert count(build(variant=f'resnest{depth}')) == count(build(depth=depth))


@pytest.mark.parametrize('pair', official(), ids=lambda pair: pair.label)
def test_parameter_count_is_the_official_one(pair: Pair) -> None:
    with torch.device('meta'):
        assert count(pair.build()) == count(pair.build_reference()) - CLASSIFIER


@pytest.mark.parametrize('depth', DEPTHS)
def test_stem_is_64_wide_up_to_depth_50_and_128_beyond(depth: int) -> None:
    """mmdet's class has 64 channels at every depth, into which no released checkpoint of a deep network fits."""
    expected = 64 if depth <= 50 else 128
    assert build(depth=depth).stem[6].out_channels == expected
    assert build(depth=depth, stem_channels=32).stem[6].out_channels == 32


@pytest.mark.parametrize('name', FAST)
def test_fast_variant_is_what_its_name_says(name: str) -> None:
    """Radix, groups and width of a group stand in the name; the pool comes before the convolution."""
    block = build(variant=f'resnest50_fast_{name}').layer1[0]
    radix, groups, width = int(name[0]), int(name[2]), int(name[4:-1])
    assert (block.conv2.radix, block.conv2.groups, block.conv1.out_channels) == (radix, groups, width * groups)
    strided = build(variant=f'resnest50_fast_{name}').layer2[0]
    assert isinstance(strided.pool_before, nn.AvgPool2d)
    assert isinstance(strided.pool_after, nn.Identity)


@pytest.mark.parametrize(('groups', 'base_width'), [(1, 64), (1, 40), (1, 128), (2, 40), (4, 24)])
def test_base_width_is_always_applied(groups: int, base_width: int) -> None:
    """mmdet and mmseg leave it out where there is one group."""
    network = build(depth=14, radix=1, groups=groups, base_width=base_width)
    widths = [getattr(network, f'layer{stage}')[0].conv1.out_channels for stage in (1, 2, 3, 4)]
    assert widths == [groups * base_width * scale for scale in (1, 2, 4, 8)]


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('depth', 101),
        ('stem_channels', 128),
        ('radix', 2),
        ('groups', 1),
        ('base_width', 64),
        ('avd_first', False),
    ],
)
def test_contradiction_with_the_variant_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf'{name}={value!r} contradicts .*resnest50_fast_1s2x40d'):
        build(variant='resnest50_fast_1s2x40d', **{name: value})


def test_arguments_that_agree_with_the_variant_are_fine() -> None:
    same = build(
        variant='resnest50_fast_1s2x40d',
        depth=50,
        stem_channels=64,
        radix=1,
        groups=2,
        base_width=40,
        avd_first=True,
    )
    assert count(same) == count(build(variant='resnest50_fast_1s2x40d'))


@pytest.mark.parametrize('depth', [18, 34])
def test_basic_block_depths_are_refused_with_the_reason(depth: int) -> None:
    with pytest.raises(ValueError, match=rf'depth={depth} .*basic block'):
        build(depth=depth)


@pytest.mark.parametrize(
    ('keywords', 'message'),
    [
        ({}, r'depth=.*\[14, 26, 50, 101, 152, 200, 269\].*variant='),
        ({'depth': 49}, r'depth=49 .*\[14, 26, 50, 101, 152, 200, 269\]'),
        ({'variant': 'resnest51'}, r"variant='resnest51' .*did you mean 'resnest50'"),
        ({'variant': 'resnest50_fast_2s1x40d'}, r'did you mean .*resnest50_fast_'),
    ],
)
def test_unknown_network_is_refused_with_what_there_is(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**keywords)
