"""Where the multi-scale sliding evaluation looks: sizes and windows, as plain numbers."""

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
    """Return height and width in pixels of an image whose long side is resized; halves are rounded up.

    Args:
        height: Height before in pixels, at least 1.
        width: Width before in pixels, at least 1.
        long: The long side afterwards in pixels, at least 1.
    """
    # The source has no lower bound and cannot resize an image whose short side rounds to nothing.
    short = max(int(min(height, width) * long / max(height, width) + 0.5), 1)
    return (long, short) if height > width else (short, long)


def window_stride(crop_size: int) -> int:
    """Return the distance between windows, two thirds of their side rounded down.

    Args:
        crop_size: Side of a window in pixels, at least 2.
    """
    return crop_size * 2 // 3


def window_starts(size: int, *, crop_size: int) -> tuple[int, ...]:
    """Return where the windows along one side start; the last may reach beyond the end.

    Args:
        size: The image's side in pixels, at least 1. One window covers a side that is not longer than a window.
        crop_size: Side of a window in pixels, at least 2.
    """
    stride = window_stride(crop_size)
    steps = -(-max(size - crop_size, 0) // stride)
    return tuple(index * stride for index in range(steps + 1))


def padding(size: int, *, crop_size: int) -> int:
    """Return how many pixels a side needs behind its end so that its last window is whole.

    Args:
        size: The image's side in pixels, at least 1.
        crop_size: Side of a window in pixels, at least 2.
    """
    return window_starts(size, crop_size=crop_size)[-1] + crop_size - size
