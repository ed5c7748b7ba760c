"""Annotations of a panoptic COCO file: the segments of each image as one list."""

from __future__ import annotations

from typing import Any

from resnest_mm.training.data_check.finding import Finding, Tally


def flatten(key: str, annotations: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[Finding]]:
    """Return all segments with the `image_id` of their image, and the entries that hold none.

    Args:
        key: Where the data set stands in the config.
        annotations: `annotations` of the file, an entry for each image.
    """
    broken = Tally('error', 'annotations have no list segments_info', 'is this a panoptic_*.json of COCO?')
    segments: list[dict[str, Any]] = []
    for number, entry in enumerate(annotations):
        inside = entry.get('segments_info')
        if not isinstance(inside, list) or not all(type(segment) is dict for segment in inside):
            broken.add(f'number {number}, image_id={entry.get("image_id")!r}')
            continue
        segments += [{**segment, 'image_id': entry.get('image_id')} for segment in inside]
    return segments, broken.findings(key, total=len(annotations))
