"""Run a network on square windows of an image, and average the scores where windows overlap."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from resnest_mm.segmentation.multi_scale.windows import padding, window_starts


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """Resize images or scores bilinearly, with aligned corners and without antialiasing.

    Args:
        x: Images or scores in floating point.
        height: New height in pixels, at least 1.
        width: New width in pixels, at least 1.

    Shape:
        x [N, C, H, W], output [N, C, height, width].
    """
    return F.interpolate(x, size=(height, width), mode='bilinear', align_corners=True)


def slide(
    image: Tensor,
    *,
    run: Callable[[Tensor], Tensor],
    black: Tensor,
    crop_size: int,
    windows_per_batch: int,
) -> Tensor:
    """Return the scores of an image: for each pixel, the mean over all windows that contain it.

    Args:
        image: One image. Windows that reach beyond it are padded with `black`.
        run: Returns the scores of a batch of windows.
        black: The value of a black pixel.
        crop_size: Side of a window in pixels, at least 2.
        windows_per_batch: Number of windows in a batch, at least 1.

    Shape:
        image [1, C, H, W], black [1, C, 1, 1], run from [N, C, crop_size, crop_size] to [N, K, crop_size, crop_size],
        output [1, K, H, W].
    """
    height, width = image.shape[-2:]
    below, right = (padding(side, crop_size=crop_size) for side in (height, width))
    canvas = black.repeat(1, 1, height + below, width + right)
    canvas[..., :height, :width] = image
    total, count = None, image.new_zeros(1, 1, height, width)
    starts = (window_starts(side, crop_size=crop_size) for side in (height, width))
    places = [(slice(y, y + crop_size), slice(x, x + crop_size)) for y, x in itertools.product(*starts)]
    for first in range(0, len(places), windows_per_batch):
        batch = places[first : first + windows_per_batch]
        outputs = run(torch.cat([canvas[..., rows, columns] for rows, columns in batch]))
        if total is None:
            total = outputs.new_zeros(1, outputs.shape[1], height, width)
        for (rows, columns), output in zip(batch, outputs, strict=True):
            inside = total[..., rows, columns]
            inside += output[:, : inside.shape[-2], : inside.shape[-1]]
            count[..., rows, columns] += 1
    assert total is not None  # there is at least one window
    return total.div_(count)
