"""Data sets in the format of Pascal VOC, as mmdet's XMLDataset reads them: a list of names and an XML for each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from tqdm import tqdm

from resnest_mm.errors import first_names, one_line
from resnest_mm.training.data_check.classes import near_name
from resnest_mm.training.data_check.detection.boxes import Boxes, check_boxes
from resnest_mm.training.data_check.finding import Finding, Tally, tallied
from resnest_mm.training.data_check.fingerprints import hash_contents
from resnest_mm.training.data_check.source import Contents, ImageEntry, Kind, Settings, Source

_CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')


@dataclass
class _Objects:
    """What the XML files hold: one entry for each object with a box, whatever its name.

    Args:
        files: Name of the file of each.
        names: Its class.
        corners: xmin, ymin, xmax, ymax as written.
        sizes: Width and height of its image, NaN where the file does not say it.
        difficult: Whether it is marked so; mmdet ignores it then.
    """

    files: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    corners: list[list[float]] = field(default_factory=list)
    sizes: list[tuple[float, float]] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)


class _FaultyXMLError(Exception):
    """A file that the host stops at; the message says why."""


def _applies(source: Source) -> bool:
    """A subclass that reads its files in another way is left to the generic kind."""
    reads = (getattr(type(source.dataset), name, None) for name in ('load_data_list', 'parse_data_info'))
    names = {getattr(method, '__qualname__', '').partition('.')[0] for method in reads}
    return bool(source.dataset.ann_file) and names == {'XMLDataset'}


def _fingerprint(source: Source) -> str:
    names, _ = _read_names(source)
    return hash_contents([source.dataset.ann_file, *(_xml_path(source, name) for name in names)])


def _read(source: Source, settings: Settings) -> Contents:
    names, findings = _read_names(source)
    key, training = source.key, not source.dataset.test_mode
    lost = Tally('error', 'annotation files do not exist', 'bring them, or correct the list of names')
    broken = Tally('error', 'annotation files cannot be read', 'correct them')
    sizeless = Tally('warning', 'annotation files have no size, so each image is decoded for it', 'add it')
    objects = _Objects()
    images = []
    bar = tqdm(
        names,
        desc=f'annotations of {source.split}',
        unit='file',
        disable=None if settings.progress else True,
        leave=False,
    )
    for name in bar:
        path = _xml_path(source, name)
        size = None
        try:
            size = _read_file(path, objects)
            if size is None:
                sizeless.add(path)
        except FileNotFoundError:
            lost.add(f'{path}{_name_hint(name)}')
        except _FaultyXMLError as error:
            broken.add(f'{path}: {error}')
        except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
            broken.add(f'{path}: {one_line(error)}')
        images.append(ImageEntry(_image_path(source, name), *(size or (None, None))))
    total = len(names)
    for tally in (lost, broken, sizeless):
        findings += tally.findings(key, total=total)
    findings += _check_names(source, objects, training=training)
    findings += _check_corners(key, objects)
    if training and total and not lost.count + broken.count and not any(name in source.names for name in objects.names):
        findings.append(Finding(severity='error', key=key, what='there is no object of a class to learn from'))
    elif training and objects.difficult and all(objects.difficult):
        what = 'all objects are marked as difficult, which no detector learns'
        findings.append(Finding(severity='error', key=key, what=what, remedy='set difficult to 0'))
    return Contents(tuple(findings), tuple(images))


KIND = Kind(applies=_applies, fingerprint=_fingerprint, read=_read)


def _read_names(source: Source) -> tuple[list[str], list[Finding]]:
    """Return the lines of the list of names as the host splits them, and what is wrong with the list."""
    path, key = source.dataset.ann_file, source.key
    try:
        with open(path, encoding='utf-8') as file:
            lines = [line.rstrip('\n\r') for line in file]
    except (OSError, ValueError) as error:
        return [], [Finding(severity='error', key=key, what=f'{path} cannot be read: {one_line(error)}')]
    if not any(line.strip() for line in lines):
        return [], [Finding(severity='error', key=key, what=f'{path} lists no image')]
    blank = [f'line {number}' for number, line in enumerate(lines, start=1) if not line.strip()]
    twice = [f'{name!r}, {count} times' for name, count in Counter(lines).items() if count > 1 and name.strip()]
    findings = tallied(
        key, 'error', f'lines of {path} are blank, and the host stops there', blank, remedy='remove them'
    )
    findings += tallied(key, 'warning', f'names stand several times in {path}', twice, remedy='keep each once')
    return [line for line in lines if line.strip()], findings


def _xml_path(source: Source, name: str) -> str:
    return os.path.join(source.dataset.sub_data_root, source.dataset.ann_subdir, f'{name}.xml')


def _image_path(source: Source, name: str) -> str:
    return os.path.join(source.dataset.sub_data_root, source.dataset.img_subdir, f'{name}.jpg')


def _name_hint(name: str) -> str:
    if name.lower().endswith(('.jpg', '.jpeg', '.png', '.xml')):
        return f' (write {Path(name).stem} without its suffix)'
    if name != name.strip():
        return ' (the line begins or ends with a blank)'
    return ' (a line holds the name alone)' if len(name.split()) > 1 else ''


def _read_file(path: str, objects: _Objects) -> tuple[int, int] | None:
    """Add the objects of a file; return width and height of its image, None where it has no size."""
    root = ElementTree.parse(path).getroot()
    size = None
    node = root.find('size')
    if node is not None:
        width, height = (_whole(node, side, 'size') for side in ('width', 'height'))
        if width < 1 or height < 1:
            raise _FaultyXMLError(f'size is {width}x{height}')
        size = (width, height)
    found = list(_iter_objects(root))
    for name, corners, difficult in found:
        objects.files.append(path)
        objects.names.append(name)
        objects.corners.append(corners)
        objects.sizes.append((np.nan, np.nan) if size is None else size)
        objects.difficult.append(difficult)
    return size


def _iter_objects(root: Any) -> Iterator[tuple[str, list[float], bool]]:
    for number, node in enumerate(root.findall('object'), start=1):
        name = node.find('name')
        if name is None or not name.text or not name.text.strip():
            raise _FaultyXMLError(f'object {number} has no name')
        box = node.find('bndbox')
        if box is None:
            raise _FaultyXMLError(f'object {number} ({name.text}) has no bndbox')
        corners = [_number(box, side, f'object {number} ({name.text})') for side in _CORNERS]
        difficult = node.find('difficult')
        yield name.text, corners, difficult is not None and _whole(node, 'difficult', f'object {number}') != 0


def _whole(node: Any, tag: str, where: str) -> int:
    child = node.find(tag)
    try:
        return int(child.text)
    except (AttributeError, TypeError, ValueError):
        text = None if child is None else child.text
        raise _FaultyXMLError(f'{tag} of {where} is {text!r}, and must be a whole number') from None


def _number(node: Any, tag: str, where: str) -> float:
    child = node.find(tag)
    try:
        value = float(child.text)
    except (AttributeError, TypeError, ValueError):
        text = None if child is None else child.text
        raise _FaultyXMLError(f'{tag} of {where} is {text!r}, and must be a number') from None
    if not np.isfinite(value):
        raise _FaultyXMLError(f'{tag} of {where} is {value}, which is not finite')
    return value


def _check_names(source: Source, objects: _Objects, *, training: bool) -> list[Finding]:
    key, classes = source.key, source.names
    counts = Counter(objects.names)
    unknown = {name: count for name, count in counts.items() if name not in classes}
    absent = [name for name in classes if name not in counts]
    near = {name: near_name(name, absent) for name in unknown}
    spelt = [f'{name!r}, {unknown[name]} times, for {other!r}' for name, other in near.items() if other]
    dropped = [f'{name!r}, {count} times' for name, count in unknown.items() if not near[name]]
    remedy = f'write the classes as the files do: {first_names(map(repr, counts), most=8)}'
    what = 'names of objects are spelt otherwise in the classes of the config, so their objects are dropped'
    findings = tallied(key, 'error', what, spelt, remedy=remedy)
    what = 'names of objects are no class of the config, so their objects are dropped'
    findings += tallied(key, 'warning', what, dropped, remedy='is that what you want?')
    if training and any(name in counts for name in classes):
        unseen = [repr(name) for name in absent if name not in near.values()]
        findings += tallied(key, 'warning', 'classes have no object to learn from', unseen, total=len(classes))
    return findings


def _check_corners(key: str, objects: _Objects) -> list[Finding]:
    corners = np.array(objects.corners, np.float64).reshape(-1, 4)
    sizes = np.array(objects.sizes, np.float64).reshape(-1, 2)

    def describe(row: int) -> str:
        where = f'{objects.files[row]}: {objects.names[row]} [{", ".join(f"{side:g}" for side in corners[row])}]'
        return where if np.isnan(sizes[row]).any() else f'{where} in {sizes[row][0]:g}x{sizes[row][1]:g}'

    # VOC counts pixels from 1. What lies in 0..1 does not, and is to be seen as it is.
    start = corners[:, :2] - (corners.max(initial=0) > 1)
    values = np.concatenate([start, corners[:, 2:] - corners[:, :2]], axis=1)
    boxes = Boxes(values=values, sizes=sizes, describe=describe, dropped='a pipeline with FilterAnnotations drops them')
    findings, _ = check_boxes(key, boxes)
    return findings
