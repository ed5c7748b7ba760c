"""Scenes as a COCO instances file, and the list of images that every COCO file has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from resnest_mm.demo_data.classes import CLASSES
from resnest_mm.demo_data.scenes import Instance


def list_images(file_names: Iterable[str], *, size: int) -> list[dict[str, Any]]:
    """Return the `images` of a COCO file; their ids start at 1.

    Args:
        file_names: In the order of the ids.
        size: Width and height of an image in pixels.
    """
    return [
        {'id': number, 'file_name': name, 'width': size, 'height': size}
        for number, name in enumerate(file_names, start=1)
    ]


def coco_annotations(scenes: Mapping[str, Sequence[Instance]], *, size: int) -> dict[str, Any]:
    """Return the content of a COCO instances file.

    Args:
        scenes: Objects of every image, by file name.
        size: Width and height of an image in pixels.
    """
    images = list_images(scenes, size=size)
    annotations: list[dict[str, Any]] = []
    for image, instances in zip(images, scenes.values(), strict=True):
        for instance in instances:
            annotations.append(
                {
                    # pycocotools takes an id of 0 for "no match", so ids start at 1.
                    'id': len(annotations) + 1,
                    'image_id': image['id'],
                    'category_id': instance.label,
                    'bbox': list(instance.box),
                    'area': int(instance.mask.sum()),
                    'segmentation': instance.polygons,
                    'iscrowd': 0,
                }
            )
    categories = [{'id': label, 'name': name, 'supercategory': 'shape'} for label, name in enumerate(CLASSES, start=1)]
    return {'info': {}, 'licenses': [], 'images': images, 'annotations': annotations, 'categories': categories}
