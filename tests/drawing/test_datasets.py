"""Images are chosen evenly from a data set."""

from __future__ import annotations

import pytest

from resnest_mm.drawing.datasets import evenly_spaced


@pytest.mark.parametrize(
    ('total', 'count', 'expected'),
    [(10, 4, [0, 3, 6, 9]), (3, 12, [0, 1, 2]), (9, 1, [4]), (0, 3, []), (87, 3, [0, 43, 86])],
)
def test_evenly_spaced(total: int, count: int, expected: list[int]) -> None:
    assert evenly_spaced(total, count) == expected
