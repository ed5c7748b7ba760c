"""Every ResNeSt config of mmseg builds when only the backbone's `type` changes; one switch more keeps its maps."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from resnest_mm.parity.compare import compare
from resnest_mm.parity.pair import Pair
from resnest_mm.parity.references import config_keywords, config_pairs, host_pair

pytest.importorskip('mmseg')


def shallow_pair(**changes: Any) -> Pair:
    """Return the network of the configs with depth 50, to save time."""
    keywords = {**config_keywords('mmseg')[0], 'depth': 50, 'stem_channels': 64, **changes}
    return host_pair('mmseg', keywords, label='mmseg')


def without_switch(pair: Pair) -> Pair:
    """Return the pair as a config with only its `type` changed would have it."""
    keywords = {name: value for name, value in pair.keywords.items() if name != 'avd_in_dilated'}
    return dataclasses.replace(pair, keywords=keywords)


def test_configs_build_and_load_with_only_the_type_changed() -> None:
    """What stands in a config must be accepted as it is, and a checkpoint of mmseg must fit strictly."""
    [pair] = config_pairs('mmseg')
    assert pair.label == 'mmseg depth 101, stride 8, 8 configs (avd_in_dilated=False)'
    plain = without_switch(pair)
    assert dict(plain.keywords) == config_keywords('mmseg')[0]
    with torch.device('meta'):
        backbone, reference = plain.build(), plain.build_reference()
    assert backbone.load_state_dict(reference.state_dict(), strict=True) == ([], [])


@pytest.mark.slow
def test_config_keeps_its_maps_without_the_pool() -> None:
    [pair] = config_pairs('mmseg')
    row = compare(pair)
    assert row.passed, row


@pytest.mark.parametrize(
    'changes',
    [
        pytest.param({}, id='as in the configs'),
        pytest.param({'contract_dilation': False}, id='full dilation'),
        pytest.param({'multi_grid': (1, 2, 4), 'contract_dilation': True}, id='multi grid'),
    ],
)
def test_equals_mmseg_without_the_pool(changes: dict[str, Any]) -> None:
    row = compare(shallow_pair(**changes))
    assert row.passed, row


def test_dilated_default_differs_from_mmseg() -> None:
    """The switch must do something: the official network, which is the default, is another one."""
    row = compare(without_switch(shallow_pair()))
    assert 0.01 < row.differences.eval < 10, row
