"""Any other data set of the hosts or of users, as far as it loads a list of images with instances."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from resnest_mm.errors import one_line
from resnest_mm.training.data_check.detection.boxes import Boxes, check_boxes, is_number, rows_of_four_numbers
from resnest_mm.training.data_check.finding import Finding, Tally, shown
from resnest_mm.training.data_check.source import Contents, ImageEntry, Kind, Settings, Source


def _applies(source: Source) -> bool:
    return callable(getattr(source.dataset, 'load_data_list', None))


def _fingerprint(source: Source) -> str | None:
    """The files that such a data set reads are not known."""
    return None


def _read(source: Source, settings: Settings) -> Contents:
    key = source.key
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
            images = copy.copy(source.dataset).load_data_list()
    except Exception as error:
        what = f'the annotations cannot be loaded: {type(error).__name__}: {shown(one_line(error))}'
        return Contents((Finding(severity='error', key=key, what=what),))
    if not isinstance(images, list) or not all(isinstance(image, Mapping) for image in images):
        what = f'the contents of a {type(source.dataset).__name__} were not checked: it loads no list of images'
        return Contents((Finding(severity='note', key=key, what=what),))
    if not images:
        return Contents((Finding(severity='error', key=key, what='the data set has no image'),))
    return Contents(tuple(_check_instances(source, images)), _entries(images))


KIND = Kind(applies=_applies, fingerprint=_fingerprint, read=_read)


def _entries(images: list[Any]) -> tuple[ImageEntry, ...]:
    entries = []
    for image in images:
        path, width, height = (image.get(field) for field in ('img_path', 'width', 'height'))
        if isinstance(path, str):
            sized = type(width) is int and type(height) is int and width > 0 < height
            entries.append(ImageEntry(path, *((width, height) if sized else (None, None))))
    return tuple(entries)


def _check_instances(source: Source, images: list[Any]) -> list[Finding]:
    """Return what is wrong with boxes [x1, y1, x2, y2] and labels, where the images have instances."""
    key = source.key
    raw: list[Any] = []
    sizes: list[tuple[float, float]] = []
    names: list[str] = []
    classes = len(source.names)
    remedy = f'the config has {classes} classes'
    labels = Tally('error', 'labels are no number of a class', remedy)
    known = False
    for image in images:
        instances = image.get('instances')
        if not isinstance(instances, list):
            continue
        known = True
        size = tuple(image[side] if is_number(image.get(side)) else np.nan for side in ('width', 'height'))
        for number, instance in enumerate(instances):
            if not isinstance(instance, Mapping) or 'bbox' not in instance:
                continue
            name = f'{image.get("img_path")}, instance {number}'
            label = instance.get('bbox_label')
            if classes and not (isinstance(label, (int, np.integer)) and 0 <= label < classes):
                labels.add(f'{name}: {label!r}')
            box = instance['bbox']
            raw.append(box.tolist() if isinstance(box, np.ndarray) else box)
            sizes.append((float(size[0]), float(size[1])))
            names.append(name)
    findings = labels.findings(key, total=len(raw))
    corners, wrong = rows_of_four_numbers(raw)
    broken = Tally('error', 'boxes are no list of four numbers', 'mmdet wants [x1, y1, x2, y2] here')
    for row in wrong:
        broken.add(f'{names[row]}: {raw[row]!r}')
    findings += broken.findings(key, total=len(raw))
    right = np.ones(len(raw), np.bool_)
    right[wrong] = False
    places = np.flatnonzero(right)
    values = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)[right]
    limits = np.array(sizes, np.float64).reshape(-1, 2)[right]

    def describe(place: int) -> str:
        row = int(places[place])
        return f'{names[row]}: {raw[row]!r}'

    found, _ = check_boxes(key, Boxes(values=values, sizes=limits, describe=describe, dropped='they teach nothing'))
    findings += found
    if known and not raw and not source.dataset.test_mode:
        findings.append(Finding(severity='error', key=key, what='there is no instance to learn from'))
    return findings
