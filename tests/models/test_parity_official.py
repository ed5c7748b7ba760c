"""The backbone equals the official package, value by value: maps, statistics, gradients."""

from __future__ import annotations

import importlib

import pytest

from resnest_mm.parity.compare import compare
from resnest_mm.parity.pair import Pair
from resnest_mm.parity.references import dilated_pairs, official_pairs

pytest.importorskip('resnest.torch', reason='pip install --no-deps resnest==0.0.5')

FAST = (
    'resnest50',
    'resnest50_fast_1s4x24d',
    'resnest50_fast_2s1x64d',
    'resnest50_fast_4s2x40d',
    'official class, depth 14',
    'official class, depth 26',
    'resnest50, stride 8',
    'resnest50, stride 16',
)


def marked(pairs: list[Pair]) -> list[object]:
    """Return the pairs as parameters, the slow ones marked."""
    return [pytest.param(pair, id=pair.label, marks=[] if pair.label in FAST else [pytest.mark.slow]) for pair in pairs]


@pytest.mark.parametrize('pair', marked(official_pairs()))
def test_equals_the_official_network(pair: Pair) -> None:
    """A checkpoint's meaning: the same parameters must give the same maps, in evaluation and in training."""
    row = compare(pair)
    assert row.passed, row


@pytest.mark.parametrize('pair', marked(dilated_pairs()))
def test_equals_the_official_dilated_network(pair: Pair) -> None:
    """Average pools and dilations of stages that keep the resolution leave no trace in a state dict."""
    row = compare(pair)
    assert row.passed, row


@pytest.mark.parametrize('size', [33, 75])
def test_odd_maps_equal_the_official_ones(size: int) -> None:
    """Where a side cannot be halved, the padding of the pools and what they do with a remainder decide the values."""
    [pair] = [pair for pair in official_pairs() if pair.label == 'official class, depth 14']
    row = compare(pair, size=size)
    assert row.passed, row


def test_every_official_builder_is_compared() -> None:
    """A variant that is renamed or removed must not leave the comparison unnoticed."""
    builders = {
        name for part in ('resnest', 'ablation') for name in importlib.import_module(f'resnest.torch.{part}').__all__
    }
    assert len(builders) == 11
    assert builders <= {pair.label for pair in official_pairs()}


def test_gradients_are_compared_with_one_group_and_with_two() -> None:
    with_gradients = {pair.label for pair in official_pairs() if pair.gradients}
    assert with_gradients == {'resnest50', 'resnest50_fast_4s2x40d'}
