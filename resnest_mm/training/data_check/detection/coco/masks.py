"""Masks of a COCO file: polygons and run-length codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from resnest_mm.training.data_check.detection.boxes import MOST, is_numbers
from resnest_mm.training.data_check.detection.coco.annotation_list import Annotations, describe
from resnest_mm.training.data_check.detection.coco.image_list import ImageList
from resnest_mm.training.data_check.finding import Finding, Tally

LEAST_NUMBERS: Final = 6
"""Numbers of a polygon with three points, the fewest that mmdet keeps."""

_TOLERANCE: Final = 2.0
"""Pixels by which a polygon may leave its image."""

_FAR: Final = 10.0
"""Multiple of the longer side from which on pycocotools would fill the memory to draw a polygon."""


def check_masks(key: str, annotations: Annotations, images: ImageList) -> list[Finding]:
    """Return what is wrong with the masks, for a pipeline that loads them.

    Args:
        key: Where the data set stands in the config.
        annotations: `annotations` of the file.
        images: Its images.
    """
    lacking = Tally('error', 'annotations have no mask', 'add segmentation, or load boxes only (with_mask=False)')
    broken = Tally('error', 'masks are neither a list of polygons nor a run-length code', 'correct the annotation file')
    odd = Tally('error', 'polygons have an odd number of coordinates', 'write them as [x1, y1, x2, y2, ...]')
    short = Tally('warning', 'polygons have fewer than 3 points, the host drops them', 'remove them')
    infinite = Tally('error', 'polygons have a coordinate that is not finite', 'correct them')
    outside = Tally('warning', 'polygons leave their image', 'clip or correct them')
    far = Tally('error', 'polygons lie far outside of their image', 'correct them')
    sizes = Tally('error', 'run-length codes have another size than their image', 'write size as [height, width]')
    lengths = Tally('error', 'run-length codes do not fill their image', 'encode the masks again')
    crowds = Tally('warning', 'crowds (iscrowd=1) have polygons, where COCO has a run-length code', 'is iscrowd right?')
    polygons = 0
    for row, one in enumerate(annotations):
        mask = one.get('segmentation')
        place = images.rows.get(one.get('image_id')) if type(one.get('image_id')) in (int, str) else None
        width, height = (np.nan, np.nan) if place is None else images.sizes[place]
        if not mask:
            lacking.add(describe(row, one, images))
        elif isinstance(mask, dict):
            fault = _code_fault(mask)
            if fault:
                broken.add(f'{describe(row, one, images)}: {fault}')
            elif place is not None and tuple(mask['size']) != (height, width):
                sizes.add(f'{describe(row, one, images)}: size={mask["size"]!r} in {width:g}x{height:g}')
            elif isinstance(mask['counts'], list) and sum(mask['counts']) != mask['size'][0] * mask['size'][1]:
                lengths.add(f'{describe(row, one, images)}: the sum of counts is {sum(mask["counts"])}')
        elif not isinstance(mask, list) or not all(isinstance(polygon, list) for polygon in mask):
            broken.add(f'{describe(row, one, images)}: segmentation={mask!r}')
        else:
            if one.get('iscrowd') == 1:
                crowds.add(describe(row, one, images))
            for polygon in mask:
                polygons += 1
                try:
                    points = np.asarray(polygon, np.float64)
                    numbers = points.ndim == 1 and not {bool, str}.intersection(map(type, polygon))
                except (ValueError, TypeError, OverflowError):
                    numbers = False
                if not numbers:
                    broken.add(f'{describe(row, one, images)}: {polygon!r}')
                elif len(polygon) % 2:
                    odd.add(f'{describe(row, one, images)}: {len(polygon)} numbers')
                elif len(polygon) < LEAST_NUMBERS:
                    short.add(f'{describe(row, one, images)}: {polygon!r}')
                elif not np.isfinite(points).all():
                    infinite.add(describe(row, one, images))
                elif np.abs(points).max() > _FAR * np.fmax(np.fmax(width, height), 1):
                    far.add(f'{describe(row, one, images)}: up to {np.abs(points).max():g}')
                elif (
                    points.min() < -_TOLERANCE
                    or points[::2].max() > width + _TOLERANCE
                    or points[1::2].max() > height + _TOLERANCE
                ):
                    outside.add(f'{describe(row, one, images)}: up to {points[::2].max():g}, {points[1::2].max():g}')
    for tally in (outside, short):
        if polygons and tally.count >= MOST * polygons:
            tally.severity = 'error'
    found = [
        *broken.findings(key),
        *infinite.findings(key),
        *far.findings(key),
        *sizes.findings(key),
        *lengths.findings(key),
    ]
    for tally in (odd, short, outside):
        found += tally.findings(key, total=polygons)
    return found + lacking.findings(key, total=len(annotations)) + crowds.findings(key)


def _code_fault(code: Mapping[str, Any]) -> str:
    size, counts = code.get('size'), code.get('counts')
    if not is_numbers(size, count=2):
        return f'size={size!r} of a run-length code'
    if isinstance(counts, list):
        return '' if is_numbers(counts) and min(counts, default=0) >= 0 else f'counts={counts!r} of a run-length code'
    return '' if isinstance(counts, str) and counts else f'counts={counts!r} of a run-length code'
