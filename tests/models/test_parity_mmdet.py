"""Every ResNeSt config of mmdet keeps its maps when only the backbone's `type` changes."""

from __future__ import annotations

import dataclasses

import pytest

from resnest_mm.parity.compare import compare
from resnest_mm.parity.pair import STRIDE_8, Pair
from resnest_mm.parity.references import config_keywords, config_pairs, host_pair

pytest.importorskip('mmdet')

DILATED = {'depth': 50, 'norm_eval': False, **STRIDE_8}


def changed(pair: Pair, **keywords: object) -> Pair:
    """Return the pair with other keywords on this package's side."""
    return dataclasses.replace(pair, keywords={**pair.keywords, **keywords})


def test_the_configs_hold_two_networks() -> None:
    """The keywords go over as they are: no dilation, so nothing to add; a third network would need a row of its own."""
    pairs = config_pairs('mmdet')
    assert sorted(pair.label for pair in pairs) == [
        'mmdet depth 101, stride 32, 4 configs',
        'mmdet depth 50, stride 32, 4 configs',
    ]
    assert all(dict(pair.keywords) in config_keywords('mmdet') for pair in pairs)


@pytest.mark.parametrize('depth', [50, pytest.param(101, marks=pytest.mark.slow)])
def test_config_keeps_its_maps(depth: int) -> None:
    """Strictly the same state dict, the same maps, and stages that mmdet freezes are frozen here."""
    [pair] = [pair for pair in config_pairs('mmdet') if pair.depth == depth]
    row = compare(pair)
    assert row.passed, row


@pytest.mark.parametrize(
    'keywords',
    [
        pytest.param(DILATED, id='stride 8'),
        pytest.param({**DILATED, 'avg_down_stride': False}, id='strides in convolutions'),
        pytest.param({**DILATED, 'radix': 1, 'groups': 2, 'base_width': 40}, id='groups'),
        pytest.param({'depth': 50, 'norm_eval': True}, id='norm_eval'),
        pytest.param({'depth': 50, 'norm_eval': False, 'frozen_stages': 2}, id='frozen'),
        pytest.param(
            {
                'depth': 50,
                'norm_eval': False,
                'num_stages': 3,
                'strides': (1, 2, 2),
                'dilations': (1, 1, 1),
                'out_indices': (0, 2),
                'stem_channels': 32,
                'base_channels': 32,
                'reduction_factor': 2,
            },
            id='small',
        ),
    ],
)
def test_keywords_mean_the_same(keywords: dict[str, object]) -> None:
    """Keywords that no config of mmdet has, but people's own configs may."""
    row = compare(host_pair('mmdet', keywords, label='mmdet'))
    assert row.passed, row


@pytest.mark.parametrize('switch', ['avd_in_dilated', 'contract_dilation'])
def test_dilated_default_differs_from_mmdet(switch: str) -> None:
    """Each switch must do something: with the official default of either, the maps are others."""
    pair = host_pair('mmdet', DILATED, label='mmdet')
    assert pair.keywords[switch] is False
    row = compare(changed(pair, **{switch: True}))
    assert 0.01 < row.differences.eval < 10, row
