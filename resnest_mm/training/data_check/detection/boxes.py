"""What is wrong with the boxes of a data set, whatever its format: values, sizes, and places in the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from resnest_mm.training.data_check.finding import MOST_EXAMPLES, Finding, Severity

TOLERANCE: Final = 1.0
"""Pixels by which a box may leave its image: formats that count from 0 and from 1 differ by one."""

MOST: Final = 0.5
"""Share of the boxes from which on a fault that single boxes may have is a fault of the format."""

_BEYOND: Final = 1e7
"""Pixels that no image has."""

_ENOUGH: Final = 3
"""Boxes from which on a property of all of them says something about the format."""

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """The boxes of a data set.

    Args:
        values: As the annotations have them, [N, 4]: x and y of the corner at the top left, in pixels, then width and
            height.
        sizes: Width and height of the image of each box in pixels, NaN where unknown, [N, 2].
        describe: Returns the name of a box by its row, for messages: id, image, values.
        dropped: What happens to a box without area, for messages.
        may_be_corners: Whether the format wants width and height, for which corners may have been written.
    """

    values: Floats
    sizes: Floats
    describe: Callable[[int], str]
    dropped: str = 'the data set drops them'
    may_be_corners: bool = False


def check_boxes(key: str, boxes: Boxes) -> tuple[list[Finding], Flags]:
    """Return the faults of boxes, and which boxes have area inside their image.

    A box with several faults is counted once. A fault of single boxes that the host drops is a warning; a fault of half
    of the boxes is an error, because then the format is another one.

    Args:
        key: Where the data set stands in the config.
        boxes: All boxes.

    Shape:
        second output [N].
    """
    values, sizes = boxes.values, boxes.sizes
    x, y, width, height = values.T
    findings: list[Finding] = []
    open_ = np.ones(len(values), np.bool_)
    finite = np.asarray((np.abs(values) < _BEYOND).all(axis=1), np.bool_)  # NaN is not smaller

    def report(severity: Severity, what: str, found: Flags, remedy: str) -> None:
        hit = open_ & found
        open_[hit] = False
        rows = np.flatnonzero(hit)
        if len(rows):
            examples = tuple(boxes.describe(int(row)) for row in rows[:MOST_EXAMPLES])
            findings.append(
                Finding(
                    severity=severity,
                    key=key,
                    what=what,
                    count=len(rows),
                    total=len(values),
                    examples=examples,
                    remedy=remedy,
                )
            )

    with np.errstate(all='ignore'):
        report('error', 'boxes have a coordinate that is not finite or beyond 10 million', ~finite, 'correct them')
        normalised = open_ & _is_normalised(values, sizes)
        if _is_most(normalised, open_):
            remedy = 'coordinates must be pixels: multiply them by width and height of the image'
            report('error', 'boxes lie in 0..1', normalised, remedy)
        corners = open_ & _is_corners(values, sizes) & boxes.may_be_corners
        if _is_most(corners, open_, share=0.99) and open_.sum() >= _ENOUGH and _leaves(values, sizes)[open_].any():
            remedy = 'COCO wants [x, y, width, height]: subtract x1 from x2 and y1 from y2'
            report('error', 'boxes look like [x1, y1, x2, y2]: many leave their image', corners, remedy)
        report('error', 'boxes have a negative width or height', (width < 0) | (height < 0), 'order their corners')
        empty = open_ & ((width == 0) | (height == 0))
        what = f'boxes have no area, {boxes.dropped}'
        report('error' if _is_most(empty, open_) else 'warning', what, empty, 'remove or correct them')
        thin = open_ & ((width < 1) | (height < 1)) & boxes.may_be_corners
        what = f'boxes are narrower than a pixel, {boxes.dropped}'
        report('error' if _is_most(thin, open_) else 'warning', what, thin, 'remove or correct them')
        outside = (x >= sizes[:, 0]) | (y >= sizes[:, 1]) | (x + width <= 0) | (y + height <= 0)
        report('error', 'boxes are completely outside of their image', outside, 'remove or correct them')
        leaving = open_ & _leaves(values, sizes)
        what = 'boxes leave their image'
        report('error' if _is_most(leaving, open_) else 'warning', what, leaving, 'clip or correct them')
        good: Flags = np.logical_and(open_ | leaving, finite)
    return findings, good


def _is_most(found: Flags, of: Flags, *, share: float = MOST) -> bool:
    return bool(found.any() and found.sum() >= share * of.sum())


def _is_normalised(values: Floats, sizes: Floats) -> Flags:
    """A box of at most one pixel at the corner of a larger image: no object, but one in 0..1."""
    small = np.nan_to_num(sizes, nan=np.inf).min(axis=1, initial=np.inf) <= 2  # images of two pixels
    inside = ((values >= 0) & (values <= 1 + 1e-6)).all(axis=1)
    return np.asarray(inside & ~small, np.bool_)


def _is_corners(values: Floats, sizes: Floats) -> Flags:
    """The third value is right of the first one, and the fourth below the second one, all inside of the image."""
    x, y, right, bottom = values.T
    inside = (right <= sizes[:, 0] + TOLERANCE) & (bottom <= sizes[:, 1] + TOLERANCE)
    found: Flags = (right > x) & (bottom > y) & inside
    return found


def _leaves(values: Floats, sizes: Floats) -> Flags:
    x, y, width, height = values.T
    right, bottom = x + width - sizes[:, 0], y + height - sizes[:, 1]
    found: Flags = np.fmax(np.fmax(-x, -y), np.fmax(right, bottom)) > TOLERANCE
    return found


def rows_of_four_numbers(raw: list[Any]) -> tuple[Floats, list[int]]:
    """Return boxes as an array and the rows that are no list of four numbers, which are NaN in the array.

    Args:
        raw: Anything for each box.

    Shape:
        first output [N, 4].
    """
    wrong = [row for row, box in enumerate(raw) if not is_numbers(box, count=4)]
    if wrong:
        bad = set(wrong)
        raw = [[np.nan] * 4 if row in bad else box for row, box in enumerate(raw)]
    return np.array(raw, np.float64).reshape(-1, 4), wrong


def is_number(value: Any) -> bool:
    """Return whether a value is an int or a float that a float can hold; a bool is none."""
    return type(value) is float or (type(value) is int and abs(value) < 2**63)


def is_numbers(value: Any, *, count: int | None = None) -> bool:
    """Return whether a value is a list of numbers.

    Args:
        value: Anything.
        count: Its length; None for any.
    """
    return (
        isinstance(value, (list, tuple))
        and (count is None or len(value) == count)
        and all(is_number(number) for number in value)
    )
