"""Cluttered backgrounds: soft light, and thin lines and specks as distractors."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from resnest_mm.demo_data.placement import REFERENCE_SIZE
from resnest_mm.demo_data.shapes import FIXED_POINT_BITS
from resnest_mm.demo_data.textures import Colour, smooth_noise

Canvas = npt.NDArray[np.float32]
Cover8 = npt.NDArray[np.uint8]


def draw_background(rng: np.random.Generator, *, size: int) -> Canvas:
    """Return a BGR background, 0-255.

    Args:
        rng: Source of the random numbers.
        size: Width and height in pixels.

    Shape:
        [size, size, 3].
    """
    base = rng.uniform(60, 195, 3)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:size, :size] / size - 0.5
    slope = (x * np.cos(angle) + y * np.sin(angle))[..., None] * rng.uniform(-45, 45, 3)
    noise = smooth_noise(rng, size=size, cells=int(rng.integers(4, 9)))[..., None] - 0.5
    canvas = np.asarray(base + slope + noise * rng.uniform(-60, 60, 3), np.float32)
    for _ in range(int(rng.integers(3, 9))):
        _blend_onto(canvas, _line(rng, size=size), base + _shift(rng))
    for _ in range(int(rng.integers(4, 13))):
        _blend_onto(canvas, _speck(rng, size=size), base + _shift(rng))
    return np.clip(canvas, 0, 255)


def _shift(rng: np.random.Generator) -> Colour:
    return np.asarray(rng.uniform(-70, 70, 3))


def _blend_onto(canvas: Canvas, cover: Cover8, colour: Colour) -> None:
    hit = cover > 0
    canvas[hit] += (colour - canvas[hit]) * (cover[hit] / 255)[:, None]


def _line(rng: np.random.Generator, *, size: int) -> Cover8:
    cover = np.zeros((size, size), np.uint8)
    width = rng.uniform(0.6, 1.6) * size / REFERENCE_SIZE
    start, end = _fixed(rng.uniform(0, size, 2)), _fixed(rng.uniform(0, size, 2))
    cv2.line(cover, start, end, 255, max(1, round(width)), cv2.LINE_AA, FIXED_POINT_BITS)
    return cover


def _speck(rng: np.random.Generator, *, size: int) -> Cover8:
    cover = np.zeros((size, size), np.uint8)
    # At most 8 pixels across on a 128-pixel image, where the smallest object has 28.
    axes = _fixed(rng.uniform(1, 4, 2) * size / REFERENCE_SIZE)
    centre, angle = _fixed(rng.uniform(0, size, 2)), float(rng.uniform(0, 180))
    cv2.ellipse(cover, centre, axes, angle, 0, 360, 255, -1, cv2.LINE_AA, FIXED_POINT_BITS)
    return cover


def _fixed(pixels: npt.NDArray[np.float64]) -> tuple[int, int]:
    return round(float(pixels[0]) * 2**FIXED_POINT_BITS), round(float(pixels[1]) * 2**FIXED_POINT_BITS)
