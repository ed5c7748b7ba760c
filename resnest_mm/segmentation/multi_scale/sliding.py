"""Running a network over an image of any size through square windows, and averaging where they overlap."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from resnest_mm.segmentation.multi_scale.windows import padding, window_starts


def resize(maps: Tensor, height: int, width: int) -> Tensor:
    """Return maps in another size, bilinear with the corners aligned and without antialiasing.

    Args:
        maps: Floating-point maps.
        height: Height afterwards in pixels, at least 1.
        width: Width afterwards in pixels, at least 1.

    Shape:
        [N, C, H, W] in, [N, C, height, width] out.
    """
    return F.interpolate(maps, size=(height, width), mode='bilinear', align_corners=True)


def slide(
    image: Tensor,
    *,
    run: Callable[[Tensor], Tensor],
    black: Tensor,
    crop_size: int,
    windows_per_batch: int,
) -> Tensor:
    """Return what a network says of an image, the mean of all windows that see a pixel.

    Args:
        image: One image; its last windows are filled up with `black`.
        run: Gives the scores of whole windows, in their size.
        black: A single pixel.
        crop_size: Side of a window in pixels, at least 2.
        windows_per_batch: How many windows `run` gets at once, at least 1.

    Shape:
        image [1, C, H, W], black [1, C, 1, 1], run [N, C, crop_size, crop_size] to [N, K, crop_size, crop_size], out
        [1, K, H, W].
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
    assert total is not None  # there is always a first window
    return total.div_(count)
