"""Scenes in COCO's panoptic format: images with a segment number for every pixel, and a file with their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from resnest_mm.demo_data.classes import CLASSES, SEMANTIC_CLASSES
from resnest_mm.demo_data.coco import list_images
from resnest_mm.demo_data.placement import tight_box
from resnest_mm.demo_data.scenes import Instance

BACKGROUND: Final = len(CLASSES) + 1
"""Category id of the background, the only kind of stuff; those of the things are 1 to 5."""


def segment_numbers(instances: Sequence[Instance], *, size: int) -> npt.NDArray[np.uint8]:
    """Return the segment of every pixel as the colour red + 256 green + 65536 blue.

    The objects have the numbers 1, 2, ... in their order, and the background has the number after them.

    Args:
        instances: Objects of the image.
        size: Width and height of the image in pixels.

    Shape:
        output [H, W, 3], BGR.
    """
    numbers = np.full((size, size), len(instances) + 1, np.uint8)
    for number, instance in enumerate(instances, start=1):
        numbers[instance.mask] = number
    return np.stack([np.zeros_like(numbers), np.zeros_like(numbers), numbers], axis=2)


def panoptic_annotations(scenes: Mapping[str, Sequence[Instance]], *, size: int) -> dict[str, Any]:
    """Return the content of a COCO panoptic file.

    Args:
        scenes: Objects of every image, by file name.
        size: Width and height of an image in pixels.
    """
    images = list_images(scenes, size=size)
    annotations: list[dict[str, Any]] = []
    for image, instances in zip(images, scenes.values(), strict=True):
        free = np.ones((size, size), np.bool_)
        segments = []
        for instance in instances:
            free &= ~instance.mask
            segments.append((instance.label, instance.mask))
        if free.any():
            segments.append((BACKGROUND, free))
        annotations.append(
            {
                'image_id': image['id'],
                'file_name': PurePath(image['file_name']).with_suffix('.png').name,
                'segments_info': [
                    {
                        'id': number,
                        'category_id': category,
                        'area': int(mask.sum()),
                        'bbox': list(tight_box(mask)),
                        'iscrowd': 0,
                    }
                    for number, (category, mask) in enumerate(segments, start=1)
                ],
            }
        )
    categories = [
        {'id': label, 'name': name, 'supercategory': 'shape', 'isthing': 1}
        for label, name in enumerate(CLASSES, start=1)
    ]
    categories.append({'id': BACKGROUND, 'name': SEMANTIC_CLASSES[0], 'supercategory': 'stuff', 'isthing': 0})
    return {'info': {}, 'licenses': [], 'images': images, 'annotations': annotations, 'categories': categories}
