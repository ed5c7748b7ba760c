"""One demo scene: the image and its annotations."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from resnest_mm.demo_data.backgrounds import Canvas, draw_background
from resnest_mm.demo_data.placement import (
    REFERENCE_SIZE,
    Box,
    Mask,
    PlacedObject,
    place_objects,
    tight_box,
    visible_masks,
)
from resnest_mm.demo_data.polygons import Polygon, trace_mask
from resnest_mm.demo_data.settings import SPLITS, DemoSettings, check_split
from resnest_mm.demo_data.textures import draw_colours, draw_edge, draw_pattern


@dataclass(frozen=True, eq=False)
class Instance:
    """The visible part of one object.

    Args:
        label: Class id, 1 to 5.
        mask: [H, W], its visible pixels.
        box: x, y, width, height in pixels, tight around the mask.
        polygons: The mask as x, y, x, y, ... in pixels, one list for each connected part.
    """

    label: int
    mask: Mask
    box: Box
    polygons: list[Polygon]


@dataclass(frozen=True, eq=False)
class Scene:
    """An image with its annotations.

    Args:
        image: [H, W, 3], BGR, 0-255.
        instances: Objects, the farthest first.
        semantic: [H, W], 0 for the background, 1 to 5 for the classes.
    """

    image: npt.NDArray[np.uint8]
    instances: tuple[Instance, ...]
    semantic: npt.NDArray[np.uint8]


def draw_scene(settings: DemoSettings, split: str, index: int) -> Scene:
    """Return one scene; it depends on the seed, the size, the split and the index alone.

    Args:
        settings: Seed and size; the number of images is not used.
        split: 'train' or 'val'.
        index: Number of the scene in its split, at least 0.

    Raises:
        ValueError: The split is unknown or the index is negative.
    """
    check_split(split)
    if index < 0:
        raise ValueError(f'index={index} is negative; scenes are numbered from 0')
    rng = np.random.default_rng([settings.seed, SPLITS.index(split), index])
    placed = place_objects(rng, size=settings.size)
    canvas = draw_background(rng, size=settings.size)
    for item in placed:
        canvas = _paint(rng, canvas, item)
    masks = visible_masks(placed)
    semantic = np.zeros((settings.size, settings.size), np.uint8)
    for item, mask in zip(placed, masks, strict=True):
        semantic[mask] = item.label
    instances = tuple(
        Instance(item.label, mask, tight_box(mask), trace_mask(mask)) for item, mask in zip(placed, masks, strict=True)
    )
    return Scene(_photograph(rng, canvas), instances, semantic)


def _paint(rng: np.random.Generator, canvas: Canvas, item: PlacedObject) -> Canvas:
    size = canvas.shape[0]
    scale = size / REFERENCE_SIZE
    cover, inner = item.stencil.cover, item.stencil.inner
    side = 2 * round(4 * scale) + 1
    rim = (cv2.dilate(cover, np.ones((side, side), np.uint8)) > 0) & (cover == 0)
    first, second = draw_colours(rng, around=canvas[rim].mean(0))
    share = draw_pattern(rng, size=size, scale=scale)[..., None]
    fill = first + (second - first) * share
    edge = draw_edge(rng, fill=(first + second) / 2)
    painted = canvas * (1 - cover[..., None]) + edge * (cover - inner)[..., None] + fill * inner[..., None]
    return np.asarray(painted, np.float32)


def _photograph(rng: np.random.Generator, canvas: Canvas) -> npt.NDArray[np.uint8]:
    blurred = cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.3, 0.7)) * canvas.shape[0] / REFERENCE_SIZE)
    grain = rng.standard_normal(canvas.shape, np.float32) * np.float32(rng.uniform(1, 5))
    return np.asarray(np.clip(np.rint(blurred + grain), 0, 255), np.uint8)
