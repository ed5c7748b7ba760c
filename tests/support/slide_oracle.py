"""The multi-scale sliding evaluation pixel by pixel, in numpy, after `MultiEvalModule` of PyTorch-Encoding@ac74841.

Nothing here is shared with resnest_mm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Maps = npt.NDArray[np.float64]
"""[C, H, W] in double precision."""
Network = Callable[[Maps], Maps]
"""Gives the logits of one crop, in its size."""
Merge = Callable[[Maps, Maps], Maps]
"""Gives the scores of a crop from its logits and those of its mirror image, mirrored back."""


def exp_of_sum(plain: Maps, mirrored: Maps) -> Maps:
    return np.exp(plain + mirrored)


def resized(maps: Maps, height: int, width: int) -> Maps:
    """Bilinear with aligned corners: the first and the last pixel of either size lie on each other."""
    channels, old_height, old_width = maps.shape
    out = np.zeros((channels, height, width))
    for y in range(height):
        for x in range(width):
            at_y = y * (old_height - 1) / (height - 1) if height > 1 else 0.0
            at_x = x * (old_width - 1) / (width - 1) if width > 1 else 0.0
            top, left = int(at_y), int(at_x)
            below, right = min(top + 1, old_height - 1), min(left + 1, old_width - 1)
            down, across = at_y - top, at_x - left
            upper = maps[:, top, left] * (1 - across) + maps[:, top, right] * across
            lower = maps[:, below, left] * (1 - across) + maps[:, below, right] * across
            out[:, y, x] = upper * (1 - down) + lower * down
    return out


def padded(maps: Maps, black: Sequence[float], crop: int) -> Maps:
    """At least crop x crop, filled up with black at the right and at the bottom."""
    channels, height, width = maps.shape
    out = np.zeros((channels, max(height, crop), max(width, crop)))
    for channel in range(channels):
        out[channel] = black[channel]
    out[:, :height, :width] = maps
    return out


def run(crop: Maps, network: Network, *, flip: bool, merge: Merge) -> Maps:
    plain = network(crop)
    if not flip:
        return np.exp(plain)
    return merge(plain, network(crop[:, :, ::-1].copy())[:, :, ::-1])


def scores(
    image: Maps,
    network: Network,
    *,
    black: Sequence[float],
    base_size: int,
    crop_size: int,
    scales: Sequence[float],
    flip: bool = True,
    merge: Merge = exp_of_sum,
) -> Maps:
    """Return the summed scores of a normalised image in its own size."""
    _, height, width = image.shape
    stride = int(crop_size * (2.0 / 3.0))
    total: Maps | None = None
    for scale in scales:
        long = math.ceil(base_size * scale)
        if height > width:
            new_height, new_width = long, int(1.0 * width * long / height + 0.5)
        else:
            new_height, new_width = int(1.0 * height * long / width + 0.5), long
        current = resized(image, new_height, new_width)
        if long <= crop_size:
            outputs = run(padded(current, black, crop_size), network, flip=flip, merge=merge)
        else:
            outputs = _slide(padded(current, black, crop_size), network, black, crop_size, stride, flip, merge)
        score = resized(outputs[:, :new_height, :new_width], height, width)
        total = score if total is None else total + score
    assert total is not None
    return total


def _slide(
    image: Maps, network: Network, black: Sequence[float], crop: int, stride: int, flip: bool, merge: Merge
) -> Maps:
    _, height, width = image.shape
    rows = math.ceil((height - crop) / stride) + 1
    columns = math.ceil((width - crop) / stride) + 1
    seen: dict[tuple[int, int], list[Maps]] = {}
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride, column * stride
            bottom, right = min(top + crop, height), min(left + crop, width)
            window = padded(image[:, top:bottom, left:right], black, crop)
            output = run(window, network, flip=flip, merge=merge)
            for y in range(top, bottom):
                for x in range(left, right):
                    seen.setdefault((y, x), []).append(output[:, y - top, x - left])
    return np.stack([np.stack([np.mean(seen[y, x], axis=0) for x in range(width)], 1) for y in range(height)], 1)
