"""The list `images` of a COCO file: ids, names and sizes."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from resnest_mm.training.data_check.detection.boxes import is_number
from resnest_mm.training.data_check.finding import Finding, Tally, tallied

_BEYOND: Final = 1e7
"""Pixels that no image has."""


@dataclass(frozen=True)
class ImageList:
    """The usable images of a COCO file.

    Args:
        rows: Row of each image by its id.
        names: `file_name` of each.
        sizes: Width and height in pixels, NaN where unusable, [N, 2].
        findings: What is wrong with the list.
    """

    rows: Mapping[Any, int]
    names: tuple[str, ...]
    sizes: npt.NDArray[np.float64]
    findings: tuple[Finding, ...]


def read_images(key: str, images: list[dict[str, Any]]) -> ImageList:
    """Return the images with an id, a name and a size, and what is wrong with the others.

    Args:
        key: Where the data set stands in the config.
        images: `images` of the file.
    """
    broken = Tally('error', 'images lack a field or have one of a wrong type', 'correct the annotation file')
    sizeless = Tally(
        'error', 'images have no width or no height above 0 and below 10 million', 'correct the annotation file'
    )
    outside = Tally(
        'warning', 'file names are absolute or contain "..", so data_prefix does not hold them', 'use relative names'
    )
    rows: dict[Any, int] = {}
    names: list[str] = []
    sizes: list[tuple[float, float]] = []
    twice: list[Any] = []
    for number, image in enumerate(images):
        fault = _fault(image)
        if fault:
            broken.add(f'number {number}: {fault}')
            continue
        identity, name = image['id'], image['file_name']
        width, height = image['width'], image['height']
        if not (0 < width < _BEYOND and 0 < height < _BEYOND):
            sizeless.add(f'image {identity} ({name}): {width}x{height}')
            width = height = math.nan
        if os.path.isabs(name) or '..' in name.split('/'):
            outside.add(f'image {identity}: {name}')
        if identity in rows:
            twice.append(f'{identity} ({names[rows[identity]]} and {name})')
            continue
        rows[identity] = len(names)
        names.append(name)
        sizes.append((width, height))
    several = [f'{name}, {count} times' for name, count in Counter(names).items() if count > 1]
    total = len(images)
    findings = [
        *broken.findings(key, total=total),
        *sizeless.findings(key, total=total),
        *tallied(key, 'error', 'image ids stand there twice', twice, remedy='give each image an id of its own'),
        *tallied(key, 'warning', 'image files stand there under several ids', several, remedy='keep each of them once'),
        *outside.findings(key, total=total),
    ]
    if not images:
        findings.append(Finding(severity='error', key=key, what='the list of images is empty'))
    return ImageList(rows, tuple(names), np.array(sizes, np.float64).reshape(-1, 2), tuple(findings))


def _fault(image: Mapping[str, Any]) -> str:
    for field in ('id', 'file_name', 'width', 'height'):
        if field not in image:
            return f'no {field} in {dict(image)!r}'
    if type(image['id']) not in (int, str):
        return f'id={image["id"]!r} is no number'
    if not isinstance(image['file_name'], str) or not image['file_name'].strip() or '\0' in image['file_name']:
        return f'file_name={image["file_name"]!r} is no name'
    for field in ('width', 'height'):
        if not is_number(image[field]):
            return f'{field}={image[field]!r} is no number (image {image["id"]})'
    return ''
