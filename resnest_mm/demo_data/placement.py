"""Placing the objects of a scene, and the visible part of each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from resnest_mm.demo_data.classes import CLASSES
from resnest_mm.demo_data.shapes import Stencil, draw_outline, rasterise

Mask = npt.NDArray[np.bool_]
Box = tuple[int, int, int, int]

REFERENCE_SIZE: Final = 128
OBJECTS: Final = (1, 4)
EXTENT: Final = (28, 72)
"""Long side of an object's box in pixels of a 128-pixel image, smallest and largest."""
MAX_BOX_IOU: Final = 0.3
MIN_VISIBLE_SHARE: Final = 0.5
MIN_VISIBLE_PIXELS: Final = 80
"""Least visible area in pixels of a 128-pixel image."""
EDGE: Final = 1.0
TRIES: Final = 30


@dataclass(frozen=True, eq=False)
class PlacedObject:
    """An object at its place in the image.

    Args:
        label: Class id, 1 to 5.
        stencil: The whole object, with the part that other objects hide.
    """

    label: int
    stencil: Stencil


def place_objects(rng: np.random.Generator, *, size: int) -> list[PlacedObject]:
    """Return 1 to 4 objects, the farthest first: a later object hides the earlier ones.

    Args:
        rng: Source of the random numbers.
        size: Width and height of the image in pixels.
    """
    placed: list[PlacedObject] = []
    for _ in range(int(rng.integers(OBJECTS[0], OBJECTS[1] + 1))):
        label = int(rng.integers(1, len(CLASSES) + 1))
        for _ in range(TRIES):
            candidate = [*placed, PlacedObject(label, _random_stencil(label, rng, size=size))]
            if _is_clear(candidate, size=size):
                placed = candidate
                break
    return placed


def visible_masks(placed: Sequence[PlacedObject]) -> list[Mask]:
    """Return the visible pixels of each object.

    Args:
        placed: Objects, the farthest first.

    Shape:
        [H, W] for each.
    """
    masks: list[Mask] = []
    hidden: Mask = np.zeros((), np.bool_)
    for item in reversed(placed):
        masks.append(item.stencil.mask & ~hidden)
        hidden = hidden | item.stencil.mask
    return masks[::-1]


def tight_box(mask: Mask) -> Box:
    """Return x, y, width and height in whole pixels of the smallest box around a mask.

    Args:
        mask: [H, W] with at least one pixel set.
    """
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1


def box_iou(first: Box, second: Box) -> float:
    """Return the intersection over union of two boxes.

    Args:
        first: x, y, width, height.
        second: x, y, width, height.
    """
    width = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    height = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    common = max(width, 0) * max(height, 0)
    return common / (first[2] * first[3] + second[2] * second[3] - common)


def _random_stencil(label: int, rng: np.random.Generator, *, size: int) -> Stencil:
    scale = size / REFERENCE_SIZE
    contours = draw_outline(label, rng)
    extent = rng.uniform(*EXTENT) * scale
    half = (contours[0].max(0) - contours[0].min(0)) * extent / 2
    centre = rng.uniform(half, size - half)
    return rasterise(tuple(points * extent + centre for points in contours), size=size, edge=EDGE * scale)


def _is_clear(placed: Sequence[PlacedObject], *, size: int) -> bool:
    least = MIN_VISIBLE_PIXELS * (size / REFERENCE_SIZE) ** 2
    visible = visible_masks(placed)
    for item, mask in zip(placed, visible, strict=True):
        if mask.sum() < max(least, MIN_VISIBLE_SHARE * item.stencil.mask.sum()):
            return False
    boxes = [tight_box(mask) for mask in visible]
    return all(box_iou(a, b) <= MAX_BOX_IOU for a, b in itertools.combinations(boxes, 2))
