"""The sizes and window positions of the multi-scale sliding evaluation, as plain numbers."""

from __future__ import annotations

import math


def long_side(base_size: int, scale: float) -> int:
    """Return the long side of an image at a scale, in pixels.

    Args:
        base_size: Long side at scale 1 in pixels, at least 1.
        scale: Factor, above 0.
    """
    return math.ceil(base_size * scale)


def scaled_size(height: int, width: int, *, long: int) -> tuple[int, int]:
    """Return the height and width of an image after resizing its long side; halves are rounded up.

    Args:
        height: Old height in pixels, at least 1.
        width: Old width in pixels, at least 1.
        long: New long side in pixels, at least 1.
    """
    # The source has no lower bound and fails for an image whose short side is rounded to 0.
    short = max(int(min(height, width) * long / max(height, width) + 0.5), 1)
    return (long, short) if height > width else (short, long)


def window_stride(crop_size: int) -> int:
    """Return the stride of the windows: two thirds of their side, rounded down.

    Args:
        crop_size: Side of a window in pixels, at least 2.
    """
    return crop_size * 2 // 3


def window_starts(size: int, *, crop_size: int) -> tuple[int, ...]:
    """Return the start of each window along one side of an image; the last window may reach beyond the end.

    Args:
        size: Side of the image in pixels, at least 1. A side not longer than a window has one window.
        crop_size: Side of a window in pixels, at least 2.
    """
    stride = window_stride(crop_size)
    steps = -(-max(size - crop_size, 0) // stride)
    return tuple(index * stride for index in range(steps + 1))


def padding(size: int, *, crop_size: int) -> int:
    """Return how many pixels must be added after the end of a side, so that it contains the last window.

    Args:
        size: Side of the image in pixels, at least 1.
        crop_size: Side of a window in pixels, at least 2.
    """
    return window_starts(size, crop_size=crop_size)[-1] + crop_size - size
