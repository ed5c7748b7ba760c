"""Surfaces of two colours, and colours that differ from the surroundings of an object."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
Colour = npt.NDArray[np.float64]

PATTERNS: Final = ('stripes', 'dots', 'checks', 'gradient', 'noise')
CONTRAST: Final = 85.0
"""Least distance of an object's colours from the mean colour around it, Euclidean in BGR, 0-255."""


def draw_pattern(rng: np.random.Generator, *, size: int, scale: float) -> Field:
    """Return a random pattern: each pixel's share of the second colour, in [0, 1].

    Args:
        rng: Source of the random numbers.
        size: Width and height of the image in pixels.
        scale: Factor on the pattern's period, 1 for a 128-pixel image.

    Shape:
        [size, size].
    """
    name = PATTERNS[int(rng.integers(len(PATTERNS)))]
    if name == 'noise':
        return smooth_noise(rng, size=size, cells=max(2, round(size / (rng.uniform(6, 12) * scale))))
    angle, period = rng.uniform(0, 2 * np.pi), rng.uniform(6, 12) * scale
    phase_u, phase_v = rng.uniform(0, 2 * np.pi, 2)
    y, x = np.mgrid[:size, :size]
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    if name == 'gradient':
        share = 0.5 + 0.5 * np.sin(along * 2 * np.pi / (8 * period) + phase_u)
    else:
        wave_u = np.sin(along * 2 * np.pi / period + phase_u)
        wave_v = np.sin(across * 2 * np.pi / period + phase_v)
        # The steep slopes turn smooth waves into areas with antialiased borders.
        wave = {'stripes': wave_u, 'dots': wave_u + wave_v - 0.8, 'checks': 2 * wave_u * wave_v}[name]
        share = np.clip(0.5 + 2 * wave, 0, 1)
    return np.asarray(share, np.float32)


def smooth_noise(rng: np.random.Generator, *, size: int, cells: int) -> Field:
    """Return noise in [0, 1] that changes slowly.

    Args:
        rng: Source of the random numbers.
        size: Width and height in pixels.
        cells: Independent values along each side, at least 2.

    Shape:
        [size, size].
    """
    coarse = rng.random((cells, cells), np.float32)
    return np.clip(np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.float32), 0, 1)


def draw_colours(rng: np.random.Generator, *, around: Colour) -> tuple[Colour, Colour]:
    """Return two BGR colours, 0-255, that differ from each other and from their surroundings.

    Args:
        rng: Source of the random numbers.
        around: Mean BGR colour of the surroundings, 0-255.
    """
    while True:
        first, second = rng.uniform(0, 255, (2, 3))
        apart = np.linalg.norm(first - second)
        if min(np.linalg.norm(first - around), np.linalg.norm(second - around)) >= CONTRAST and 40 <= apart <= 150:
            return first, second


def draw_edge(rng: np.random.Generator, *, fill: Colour) -> Colour:
    """Return a clearly darker or lighter shade of a BGR colour, 0-255.

    Args:
        rng: Source of the random numbers.
        fill: BGR colour, 0-255.
    """
    return fill * 0.35 if rng.random() < 0.5 else 255 - (255 - fill) * 0.35
