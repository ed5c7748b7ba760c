"""The comparison itself: it must see a difference wherever there is one."""

from __future__ import annotations

import math

import pytest
import torch

from resnest_mm.parity.compare import Differences, Row, worst, worst_by_layer


def row(**changes: float | None) -> Row:
    values: dict[str, float | None] = {'eval': 0.0, 'train': 1e-7, 'statistics': 1e-6, 'gradients': None, **changes}
    return Row(label='network', differences=Differences(**values), tolerance=1e-6)


def test_worst_is_relative_to_the_largest_value_of_the_same_tensor() -> None:
    expected = [torch.tensor([1.0, -4.0]), torch.tensor([100.0, 0.0])]
    assert worst(expected, [torch.tensor([1.0, -3.0]), torch.tensor([100.0, 1.0])]) == pytest.approx(0.25)
    assert worst(expected, [torch.tensor([1.0, -4.0]), torch.tensor([50.0, 0.0])]) == pytest.approx(0.5)


def test_worst_of_what_cannot_be_compared_is_infinite() -> None:
    """Neither a map too few nor one that broadcasting would stretch."""
    ones = torch.ones(2, 3)
    assert worst([ones, ones], [ones]) == math.inf
    assert worst([ones], [torch.ones(2, 1)]) == math.inf
    assert worst_by_layer({'a.weight': ones}, {'b.weight': ones}) == math.inf
    assert worst_by_layer({'a.weight': ones}, {'a.weight': torch.ones(3, 2)}) == math.inf


def test_gradients_are_measured_by_the_largest_of_their_layer() -> None:
    """A bias in front of a norm has no gradient but rounding, of which two networks have a different one each."""
    expected = {'fc.weight': torch.tensor([8.0]), 'fc.bias': torch.tensor([1e-7]), 'bn.weight': torch.tensor([2.0])}
    actual = {'bn.weight': torch.tensor([2.0]), 'fc.bias': torch.tensor([-1e-7]), 'fc.weight': torch.tensor([8.0])}
    assert worst_by_layer(expected, actual) < 1e-7
    assert worst_by_layer(expected, {**actual, 'bn.weight': torch.tensor([1.0])}) == pytest.approx(0.5)
    assert worst_by_layer(expected, {**actual, 'fc.bias': torch.tensor([4.0])}) == pytest.approx(0.5)


@pytest.mark.parametrize('name', ['eval', 'train', 'statistics', 'gradients'])
@pytest.mark.parametrize('value', [2e-6, math.inf, math.nan])
def test_any_difference_beyond_the_tolerance_fails(name: str, value: float) -> None:
    assert row().passed
    assert not row(**{name: value}).passed


def test_not_a_number_in_a_map_is_not_lost_among_the_others() -> None:
    good, bad = torch.ones(2), torch.tensor([1.0, math.nan])
    assert math.isnan(worst([good, good, good], [good, bad, good]))
