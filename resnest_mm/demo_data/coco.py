"""Scenes as a COCO annotation file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from resnest_mm.demo_data.classes import CLASSES
from resnest_mm.demo_data.scenes import Instance


def coco_annotations(scenes: Mapping[str, Sequence[Instance]], *, size: int) -> dict[str, Any]:
    """Return the content of a COCO instances file.

    Args:
        scenes: Objects of every image, by file name.
        size: Width and height of an image in pixels.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (file_name, instances) in enumerate(scenes.items(), start=1):
        images.append({'id': image_id, 'file_name': file_name, 'width': size, 'height': size})
        for instance in instances:
            annotations.append(
                {
                    # pycocotools takes an id of 0 for "no match", so ids start at 1.
                    'id': len(annotations) + 1,
                    'image_id': image_id,
                    'category_id': instance.label,
                    'bbox': list(instance.box),
                    'area': int(instance.mask.sum()),
                    'segmentation': instance.polygons,
                    'iscrowd': 0,
                }
            )
    categories = [{'id': label, 'name': name, 'supercategory': 'shape'} for label, name in enumerate(CLASSES, start=1)]
    return {'info': {}, 'licenses': [], 'images': images, 'annotations': annotations, 'categories': categories}
