"""Outlines of the object classes, and their smooth masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from resnest_mm.demo_data.classes import CLASSES

Points = npt.NDArray[np.float64]
Cover = npt.NDArray[np.float32]

SUPERSAMPLING: Final = 4
FIXED_POINT_BITS: Final = 4


@dataclass(frozen=True, eq=False)
class Stencil:
    """Where an object lies, each pixel's covered share in [0, 1].

    Args:
        cover: The whole object.
        inner: The object without its edge line.
    """

    cover: Cover
    inner: Cover

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Return the pixels of which at least half is covered."""
        return np.asarray(self.cover >= 0.5)


def draw_outline(label: int, rng: np.random.Generator) -> tuple[Points, ...]:
    """Return a randomly turned and mildly stretched outline whose bounding box is centred, with long side 1.

    Args:
        label: Class id, 1 to 5.
        rng: Source of the random numbers.

    Shape:
        One [N, 2] array of x, y; a ring has a second one, its hole.
    """
    name = CLASSES[label - 1]
    if name == 'disc':
        contours = [_regular(48)]
    elif name == 'triangle':
        contours = [_regular(3)]
    elif name == 'square':
        contours = [_regular(4)]
    elif name == 'star':
        star = _regular(10)
        star[1::2] *= rng.uniform(0.42, 0.5)
        contours = [star]
    else:
        contours = [_regular(48), _regular(48) * rng.uniform(0.48, 0.6)]

    # The square's sides, not its diagonals, lie along the axes before it is stretched: rectangles, never rhombi.
    upright = _rotation(np.pi / 4) if name == 'square' else np.eye(2)
    stretch = np.diag([rng.uniform(0.8, 1.0), 1.0])
    transform = _rotation(rng.uniform(0, 2 * np.pi)) @ stretch @ upright
    turned = [points @ transform.T for points in contours]
    low, high = turned[0].min(0), turned[0].max(0)
    return tuple((points - (low + high) / 2) / (high - low).max() for points in turned)


def rasterise(contours: tuple[Points, ...], *, size: int, edge: float) -> Stencil:
    """Return the smooth mask of an outline.

    Args:
        contours: Outline and holes, x and y in pixels of the image.
        size: Width and height of the image in pixels.
        edge: Width of the edge line in pixels, at least 0.
    """
    fine = np.zeros((size * SUPERSAMPLING, size * SUPERSAMPLING), np.uint8)
    # OpenCV's coordinates start in the middle of the first pixel, ours at its corner.
    fixed = [((c * SUPERSAMPLING - 0.5) * 2**FIXED_POINT_BITS).round().astype(np.int32) for c in contours]
    cv2.fillPoly(fine, fixed, 255, shift=FIXED_POINT_BITS)
    side = 2 * round(edge * SUPERSAMPLING) + 1
    inner = np.asarray(cv2.erode(fine, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))), np.uint8)
    return Stencil(_shrink(fine, size), _shrink(inner, size))


def _regular(corners: int) -> Points:
    angles = np.arange(corners) * 2 * np.pi / corners
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def _rotation(angle: float) -> Points:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _shrink(fine: npt.NDArray[np.uint8], size: int) -> Cover:
    share = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA) / np.float32(255)
    return np.asarray(share, np.float32)
