"""Pixel masks as COCO polygons."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Polygon = list[float]
Points = npt.NDArray[np.float64]

UPSAMPLING: Final = 4
TOLERANCE: Final = 0.3
"""Largest distance in pixels between a polygon and the border of its mask."""


def trace_mask(mask: npt.NDArray[np.bool_]) -> list[Polygon]:
    """Return a mask's outlines as x, y, x, y, ... in pixels, one for each connected part.

    A hole is joined to its outline by a slit of no width. COCO's polygons know no holes, and a run-length mask would
    be dropped without a word by mmdet pipelines with `poly2mask=False`.

    Args:
        mask: [H, W] with at least one pixel set.
    """
    # Contours run through pixel centres: tracing a finer copy brings them to where the pixels end.
    fine = mask.astype(np.uint8).repeat(UPSAMPLING, 0).repeat(UPSAMPLING, 1)
    contours, hierarchy = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outlines: dict[int, Points] = {}
    holes: list[tuple[int, Points]] = []
    for index, contour in enumerate(contours):
        simple = cv2.approxPolyDP(contour, TOLERANCE * UPSAMPLING, True)
        points = np.round((simple[:, 0].astype(np.float64) + 0.5) / UPSAMPLING, 3)
        parent = int(hierarchy[0, index, 3])
        if parent < 0:
            outlines[index] = points
        elif len(points) >= 3:
            holes.append((parent, points))
    for parent, hole in holes:
        outlines[parent] = _join(outlines[parent], hole)
    return [points.ravel().tolist() for points in outlines.values() if len(points) >= 3]


def _join(outline: Points, hole: Points) -> Points:
    distances = np.linalg.norm(outline[:, None] - hole[None], axis=2)
    i, j = np.unravel_index(int(distances.argmin()), distances.shape)
    return np.concatenate([outline[: i + 1], hole[j:], hole[: j + 1], outline[i:]])
