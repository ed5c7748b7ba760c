"""Reading a panoptic file of COCO: its names, numbers and categories are checked before anyone uses them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final

from resnest_mm.annotations.faults import Faults
from resnest_mm.errors import UserError, one_line

_LONGEST_NAME: Final = 255
"""Bytes of the longest file name that common file systems hold."""


@dataclass(frozen=True)
class PanopticEntry:
    """One map of a panoptic file.

    Args:
        file_name: Name of the map, without a folder.
        segments: `segments_info`, each with `id` and `category_id`.
        size: Width and height of the image in pixels; None where the file does not say.
    """

    file_name: str
    segments: tuple[Mapping[str, Any], ...]
    size: tuple[int, int] | None


@dataclass(frozen=True)
class PanopticFile:
    """A panoptic file whose contents agree with each other.

    Args:
        entries: Its maps, each with a name of its own.
        categories: Its categories, each with `id` and `isthing`.
    """

    entries: tuple[PanopticEntry, ...]
    categories: tuple[Mapping[str, Any], ...]


def read_panoptic_file(path: str | os.PathLike[str]) -> PanopticFile:
    """Return the content of a panoptic file.

    Args:
        path: COCO's `panoptic_*.json`.

    Raises:
        UserError: The file is no panoptic file, or has faults, of which every kind has a line in the message.
        OSError: The file cannot be read.
    """
    source = f'annotations={str(path)!r}'
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise UserError(f'{source} is no JSON file: {one_line(error)}') from error
    categories = _mappings(content, 'categories', ('id', 'isthing'))
    annotations = _mappings(content, 'annotations', ('file_name', 'segments_info'))
    if categories is None or annotations is None or not all(_has_segments(entry) for entry in annotations):
        raise UserError(f'{source} holds no segments; it should be a panoptic_*.json of COCO')
    if not annotations:
        raise UserError(f'{source} lists no maps')
    faults = Faults()
    images = {image['id']: image for image in _mappings(content, 'images', ('id',)) or () if _is_id(image['id'])}
    _check_names(annotations, faults)
    _check_images(annotations, images, faults)
    _check_segments(annotations, categories, faults)
    if faults:
        raise UserError('\n'.join(f'{source} has {line}' for line in faults.lines()))
    entries = (
        PanopticEntry(entry['file_name'], tuple(entry['segments_info']), _size(images.get(entry.get('image_id'))))
        for entry in annotations
    )
    return PanopticFile(tuple(entries), tuple(categories))


def is_file_name(name: object) -> bool:
    """Return whether a text names a file inside a folder, on every system: no path, no control character, not too long.

    Args:
        name: Value from a file of someone else.
    """
    return (
        isinstance(name, str)
        and name.isprintable()
        and len(name.encode()) <= _LONGEST_NAME
        and name not in ('', '.', '..')
        and PurePosixPath(name).name == name == PureWindowsPath(name).name
    )


def _mappings(content: Any, key: str, needed: Sequence[str]) -> list[Mapping[str, Any]] | None:
    found = content.get(key) if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        return None
    return found if all(name in entry for entry in found for name in needed) else None


def _has_segments(entry: Mapping[str, Any]) -> bool:
    segments = _mappings(entry, 'segments_info', ('id', 'category_id'))
    return segments is not None and all(_is_id(segment[key]) for segment in segments for key in ('id', 'category_id'))


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_names(annotations: Sequence[Mapping[str, Any]], faults: Faults) -> None:
    names = [entry['file_name'] for entry in annotations]
    for name in names:
        if not is_file_name(name):
            faults.add('file_name values that are no plain file name (without folder)', name)
        elif not name.lower().endswith('.png'):
            faults.add('file_name values that do not end with .png', name)
    # Some file systems take names that differ only in case for one file.
    for name in _repeated(name.lower() for name in names if isinstance(name, str)):
        faults.add('file_name values that stand there more than once', name)


def _check_images(
    annotations: Sequence[Mapping[str, Any]], images: Mapping[int, Mapping[str, Any]], faults: Faults
) -> None:
    numbers = [entry['image_id'] for entry in annotations if 'image_id' in entry]
    for number in numbers:
        if not _is_id(number):
            faults.add('image_id values that are no integer', number)
        elif images and number not in images:
            faults.add('image_id values that its images do not list', number)
    for number in _repeated(number for number in numbers if _is_id(number)):
        faults.add('image_id values with more than one map', number)
    for number, image in images.items():
        if _size(image) is None and ('width' in image or 'height' in image):
            faults.add('images whose width and height are no positive integers, by id', number)


def _check_segments(
    annotations: Sequence[Mapping[str, Any]], categories: Sequence[Mapping[str, Any]], faults: Faults
) -> None:
    known = [category['id'] for category in categories]
    for number in known:
        if not _is_id(number):
            faults.add('categories whose id is no integer', number)
    for category in categories:
        if category['isthing'] not in (0, 1):
            faults.add('categories whose isthing is neither 0 nor 1, by id', category['id'])
    for number in _repeated(number for number in known if _is_id(number)):
        faults.add('categories with the same id', number)
    listed = {number for number in known if _is_id(number)}
    unknown = (segment['category_id'] for entry in annotations for segment in entry['segments_info'])
    for number in sorted({number for number in unknown if number not in listed}):
        faults.add('segments of a category that it does not list, by category', number)
    for entry in annotations:
        numbers = [segment['id'] for segment in entry['segments_info']]
        if any(not 0 < number < 256**3 for number in numbers):
            faults.add('maps with a segment whose id is not in 1..16777215', entry['file_name'])
        if any(True for _ in _repeated(numbers)):
            faults.add('maps with two segments of the same id', entry['file_name'])


def _repeated(values: Iterable[Any]) -> list[Any]:
    """Return each value that comes again, once."""
    seen: set[Any] = set()
    again: dict[Any, None] = {}
    for value in values:
        if value in seen:
            again[value] = None
        seen.add(value)
    return list(again)


def _size(image: Mapping[str, Any] | None) -> tuple[int, int] | None:
    if image is None:
        return None
    width, height = image.get('width'), image.get('height')
    if not (_is_id(width) and _is_id(height)):
        return None
    return (int(width), int(height)) if width > 0 and height > 0 else None  # type: ignore[arg-type,operator]
