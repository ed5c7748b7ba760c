"""The list `annotations` of a COCO file: ids, references, flags and boxes."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from resnest_mm.training.data_check.detection.boxes import MOST, Boxes, check_boxes, rows_of_four_numbers
from resnest_mm.training.data_check.detection.coco.image_list import ImageList
from resnest_mm.training.data_check.finding import Finding, Tally, tallied

_ABSENT = object()
Annotations = list[dict[str, Any]]


@dataclass(frozen=True)
class AnnotationList:
    """What is known about the annotations of a COCO file.

    Args:
        counts: Number of annotations by category id.
        usable: For each annotation, whether its image, its category and its box are good.
        findings: What is wrong.
    """

    counts: Mapping[Any, int]
    usable: list[bool]
    findings: tuple[Finding, ...]


def read_annotations(
    key: str, annotations: Annotations, images: ImageList, names: Mapping[Any, str], *, scored: bool, panoptic: bool
) -> AnnotationList:
    """Return what is wrong with the annotations, and which of them the model can learn from.

    Args:
        key: Where the data set stands in the config.
        annotations: `annotations` of the file.
        images: Its images.
        names: Name of each category by its id.
        scored: Whether COCO's evaluation reads the annotations; it needs `iscrowd`.
        panoptic: Whether these are segments of panoptic maps, whose ids repeat.
    """
    findings: list[Finding] = []
    total = len(annotations)
    needed = ('id', 'image_id', 'category_id', 'bbox', 'area', *(['iscrowd'] if scored else []))
    for field in needed:
        lacking = (_name(row, one, images) for row, one in enumerate(annotations) if field not in one)
        findings += tallied(
            key, 'error', f'annotations have no {field}', lacking, total=total, remedy='correct the annotation file'
        )
    identities = _column(annotations, 'id')
    if not panoptic:
        odd_ids = (f'{one["id"]!r}' for one in annotations if 'id' in one and _hashable(one['id']) is None)
        findings += tallied(key, 'error', 'annotation ids are no numbers', odd_ids, total=total)
        seen = Counter(map(_hashable, identities))
        twice = [f'{identity}, {count} times' for identity, count in seen.items() if count > 1 and identity is not None]
        findings += tallied(
            key, 'error', 'annotation ids stand there several times', twice, remedy='give each one an id of its own'
        )
    rows, unknown_images = _rows(annotations, images)
    findings += tallied(
        key, 'error', 'annotations are of an image that is not in the file', unknown_images, total=total
    )
    counts, unknown_categories = _count(annotations, images, names)
    remedy = f'the file has the category ids {", ".join(map(str, list(names)[:8]))}'
    findings += tallied(
        key,
        'error',
        'annotations are of a category that is not in the file',
        unknown_categories,
        total=total,
        remedy=remedy,
    )
    box_findings, good = _check_boxes(key, annotations, images, rows)
    findings += box_findings
    flags = _column(annotations, 'iscrowd')
    odd = (
        f'{_name(row, one, images)}: iscrowd={one["iscrowd"]!r}'
        for row, one in enumerate(annotations)
        if flags[row] not in (_ABSENT, 0, 1)
    )
    findings += tallied(key, 'error', 'annotations have another iscrowd than 0 and 1', odd, total=total)
    findings += _area_findings(key, annotations, images)
    known = {identity for identity in names}
    usable = [
        bool(good[row]) and rows[row] >= 0 and _hashable(one.get('category_id')) in known and not one.get('ignore')
        for row, one in enumerate(annotations)
    ]
    return AnnotationList(counts, usable, tuple(findings))


def describe(row: int, annotation: Mapping[str, Any], images: ImageList) -> str:
    """Return how messages name an annotation: its id and its image.

    Args:
        row: Its number in the file, for one without an id.
        annotation: The annotation.
        images: The images of the file.
    """
    return _name(row, annotation, images)


def _name(row: int, annotation: Mapping[str, Any], images: ImageList) -> str:
    number = f'annotation {annotation["id"]!r}' if 'id' in annotation else f'annotation at place {row}'
    image = _hashable(annotation.get('image_id'))
    place = images.rows.get(image)
    return number if place is None else f'{number} of {images.names[place]}'


def _column(annotations: Annotations, field: str) -> list[Any]:
    return [annotation.get(field, _ABSENT) for annotation in annotations]


def _hashable(value: Any) -> Any:
    return value if type(value) in (int, str) else None


def _rows(annotations: Annotations, images: ImageList) -> tuple[np.ndarray[Any, Any], Iterator[str]]:
    rows = np.array(
        [images.rows.get(_hashable(annotation.get('image_id')), -1) for annotation in annotations], np.int64
    )
    unknown = (
        f'{_name(int(row), annotations[row], images)}: image_id={annotations[row]["image_id"]!r}'
        for row in np.flatnonzero(rows < 0)
        if 'image_id' in annotations[row]
    )
    return rows, unknown


def _count(
    annotations: Annotations, images: ImageList, names: Mapping[Any, str]
) -> tuple[Mapping[Any, int], Iterator[str]]:
    identities = [_hashable(annotation.get('category_id')) for annotation in annotations]
    counts = Counter(identities)
    wrong = any(identity not in names for identity in counts)
    unknown = (
        f'{_name(row, annotations[row], images)}: category_id={annotations[row]["category_id"]!r}'
        for row, identity in enumerate(identities)
        if wrong and identity not in names and 'category_id' in annotations[row]
    )
    return counts, unknown


def _check_boxes(
    key: str, annotations: Annotations, images: ImageList, rows: np.ndarray[Any, Any]
) -> tuple[list[Finding], np.ndarray[Any, Any]]:
    raw = _column(annotations, 'bbox')
    values, wrong = _array(raw)
    findings = tallied(
        key,
        'error',
        'boxes are no list of four numbers',
        (f'{_name(row, annotations[row], images)}: bbox={raw[row]!r}' for row in wrong if raw[row] is not _ABSENT),
        total=len(raw),
        remedy='COCO wants [x, y, width, height]',
    )
    sizes = np.full((len(raw), 2), np.nan)
    known = rows >= 0
    sizes[known] = images.sizes[rows[known]]
    sizes[sizes <= 0] = np.nan
    right = np.ones(len(raw), np.bool_)
    right[wrong] = False
    places = np.flatnonzero(right)

    def named(place: int) -> str:
        row = int(places[place])
        size = 'x'.join(f'{side:g}' for side in sizes[row])
        return f'{_name(row, annotations[row], images)}: bbox={raw[row]!r} in {size}'

    boxes = Boxes(values=values[right], sizes=sizes[right], describe=named, may_be_corners=True)
    found, good = check_boxes(key, boxes)
    right[places] = good
    return findings + found, right


def _array(raw: list[Any]) -> tuple[np.ndarray[Any, Any], list[int]]:
    """As `rows_of_four_numbers`, and quick where all boxes are lists of four plain numbers."""
    lists = raw and set(map(type, raw)) == {list} and set(map(len, raw)) == {4}
    if lists and set(map(type, chain.from_iterable(raw))) <= {int, float}:
        with contextlib.suppress(OverflowError):
            return np.array(raw, np.float64), []
    return rows_of_four_numbers(raw)


def _area_findings(key: str, annotations: Annotations, images: ImageList) -> list[Finding]:
    kinds = set(map(type, _column(annotations, 'area')))
    findings: list[Finding] = []
    if not kinds <= {int, float, object}:
        odd = (
            f'{_name(row, one, images)}: area={one["area"]!r}'
            for row, one in enumerate(annotations)
            if type(one.get('area', 0)) not in (int, float)
        )
        findings += tallied(key, 'error', 'annotations have an area that is no number', odd, total=len(annotations))
    tally = Tally('warning', 'annotations have an area of 0 or less, the data set drops them', 'compute their area')
    for row, one in enumerate(annotations):
        area = one.get('area', 1)
        if type(area) in (int, float) and not area > 0 and _has_box(one):
            tally.add(f'{_name(row, one, images)}: area={area!r}')
    if annotations and tally.count >= MOST * len(annotations):
        tally.severity = 'error'
    return findings + tally.findings(key, total=len(annotations))


def _has_box(annotation: Mapping[str, Any]) -> bool:
    """Return whether the box has a width and a height, so that its area is not to blame for an area of 0."""
    box = annotation.get('bbox')
    return isinstance(box, list) and len(box) == 4 and 0 not in box[2:]
