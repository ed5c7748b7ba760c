"""Test-time augmentation written out one box, one pixel at a time: slow, and obvious."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Box = Sequence[float]
Detection = tuple[list[float], float, int]
Item = TypeVar('Item')


def in_batches(views: Sequence[Item], size: int) -> list[list[Item]]:
    """Put consecutive views of one image together; the last batch may be smaller."""
    batches: list[list[Item]] = []
    for view in views:
        if not batches or len(batches[-1]) == size:
            batches.append([])
        batches[-1].append(view)
    return batches


def padded(images: Sequence[NDArray[np.float64]], *, divisor: int) -> NDArray[np.float64]:
    """Pad images [3, H, W] with zeros, on the right and below, to the largest of them and to a multiple of a number."""
    height = width = 0
    for image in images:
        height, width = max(height, image.shape[1]), max(width, image.shape[2])
    while height % divisor:
        height += 1
    while width % divisor:
        width += 1
    batch = np.zeros((len(images), 3, height, width))
    for index, image in enumerate(images):
        batch[index, :, : image.shape[1], : image.shape[2]] = image
    return batch


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes (x1, y1, x2, y2)."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def with_area(detections: Sequence[Detection], size: tuple[int, int]) -> list[Detection]:
    """Cut boxes at the border of an image (height, width) and drop those of which nothing is left."""
    kept: list[Detection] = []
    for box, score, label in detections:
        limits = (size[1], size[0], size[1], size[0])
        cut = [min(max(value, 0.0), float(limit)) for value, limit in zip(box, limits, strict=True)]
        if cut[2] > cut[0] and cut[3] > cut[1]:
            kept.append((cut, score, label))
    return kept


def suppress(detections: Sequence[Detection], *, threshold: float, most: int) -> list[Detection]:
    """Keep the best box of each class, drop those that overlap it, and so on."""
    kept: list[Detection] = []
    for box, score, label in sorted(detections, key=lambda detection: -detection[1]):
        if all(label != other or overlap(box, better) <= threshold for better, _, other in kept):
            kept.append((box, score, label))
    return kept[:most]


def box_in_view(box: Box, original: tuple[int, int], shape: tuple[int, int], direction: str | None) -> list[float]:
    """Where a box of the image is in a resized and flipped version; sizes are (height, width)."""
    x1, x2 = (value * shape[1] / original[1] for value in (box[0], box[2]))
    y1, y2 = (value * shape[0] / original[0] for value in (box[1], box[3]))
    if direction in ('horizontal', 'diagonal'):
        x1, x2 = shape[1] - x2, shape[1] - x1
    if direction in ('vertical', 'diagonal'):
        y1, y2 = shape[0] - y2, shape[0] - y1
    return [x1, y1, x2, y2]


def box_in_image(box: Box, original: tuple[int, int], shape: tuple[int, int], direction: str | None) -> list[float]:
    """Where a box of a resized and flipped version is in the image."""
    x1, y1, x2, y2 = box
    if direction in ('horizontal', 'diagonal'):
        x1, x2 = shape[1] - x2, shape[1] - x1
    if direction in ('vertical', 'diagonal'):
        y1, y2 = shape[0] - y2, shape[0] - y1
    return [
        x1 * original[1] / shape[1],
        y1 * original[0] / shape[0],
        x2 * original[1] / shape[1],
        y2 * original[0] / shape[0],
    ]


def unflip(maps: NDArray[np.float64], direction: str | None) -> NDArray[np.float64]:
    """Turn a map [H, W] back, cell by cell."""
    height, width = maps.shape
    turned = np.empty_like(maps)
    for y in range(height):
        for x in range(width):
            row = height - 1 - y if direction in ('vertical', 'diagonal') else y
            column = width - 1 - x if direction in ('horizontal', 'diagonal') else x
            turned[y, x] = maps[row, column]
    return turned


def paste(maps: NDArray[np.float64], box: Box, size: tuple[int, int]) -> NDArray[np.float64]:
    """Spread a map [H, W] over its box: the probability at each pixel's centre, bilinear, 0 outside the map."""
    pasted = np.zeros(size)
    height, width = maps.shape
    for y in range(size[0]):
        for x in range(size[1]):
            row = (y + 0.5 - box[1]) / (box[3] - box[1]) * height - 0.5
            column = (x + 0.5 - box[0]) / (box[2] - box[0]) * width - 0.5
            top, left = math.floor(row), math.floor(column)
            for r, row_share in ((top, top + 1 - row), (top + 1, row - top)):
                for c, column_share in ((left, left + 1 - column), (left + 1, column - left)):
                    if 0 <= r < height and 0 <= c < width:
                        pasted[y, x] += row_share * column_share * maps[r, c]
    return pasted
