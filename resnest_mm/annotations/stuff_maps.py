"""Making semantic label maps of stuff from COCO's panoptic maps, as detectron2's Panoptic FPN is trained on them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from resnest_mm.annotations.faults import Faults
from resnest_mm.annotations.panoptic_file import PanopticEntry, read_panoptic_file
from resnest_mm.annotations.panoptic_map import check_segments, read_panoptic_map
from resnest_mm.atomic import replacing_folder
from resnest_mm.errors import UserError

THINGS: Final = 0
UNLABELLED: Final = 255

_ENOUGH: Final = 100
"""Maps after which the work stops if every one of them is wrong."""


def stuff_labels(categories: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Return the label of each category: 0 for a thing, 1 and more for stuff in the order of the ids.

    Args:
        categories: `categories` of a panoptic file, each with `id` and `isthing`.

    Raises:
        ValueError: There are more than 254 kinds of stuff, which a map of bytes cannot hold.
    """
    stuff = sorted(entry['id'] for entry in categories if not entry['isthing'])
    if len(stuff) >= UNLABELLED:
        raise ValueError(f'categories has {len(stuff)} kinds of stuff; a map of bytes holds at most {UNLABELLED - 1}')
    things = {entry['id']: THINGS for entry in categories if entry['isthing']}
    return {**things, **{category: label for label, category in enumerate(stuff, start=1)}}


def stuff_map(
    numbers: npt.NDArray[np.int64], segments: Sequence[Mapping[str, Any]], *, labels: Mapping[int, int]
) -> npt.NDArray[np.uint8]:
    """Return the label of every pixel, and 255 where no segment is.

    Args:
        numbers: Segment of every pixel, [H, W].
        segments: `segments_info` of the image, each with `id` and `category_id`.
        labels: Label of each category.

    Shape:
        output [H, W].
    """
    result = np.full(numbers.shape, UNLABELLED, np.uint8)
    for segment in segments:
        result[numbers == segment['id']] = labels[segment['category_id']]
    return result


@dataclass(frozen=True)
class WrittenMaps:
    """The stuff maps of a folder.

    Args:
        count: Their number.
        notes: What may be wrong with some of them, a line for each kind.
    """

    count: int
    notes: tuple[str, ...] = ()


def write_stuff_maps(
    annotations: str | os.PathLike[str],
    maps: str | os.PathLike[str],
    out: str | os.PathLike[str],
) -> WrittenMaps:
    """Write the stuff maps of all images of a panoptic file or none of them, and show the progress on a terminal.

    Args:
        annotations: COCO's `panoptic_*.json`.
        maps: Folder of its maps.
        out: Folder to write. It must not exist, and lie neither in `maps` nor around one of the inputs.

    Raises:
        UserError: `out` cannot be used, the file is no panoptic file, or maps are missing, damaged or of other images.
            Every kind of fault has a line in the message. Nothing is written then.
        OSError: A file cannot be read or written.
    """
    source, target = Path(maps), Path(out)
    _check_place(target, inputs={'annotations': Path(annotations), 'maps': source})
    _check_new(target)
    content = read_panoptic_file(annotations)
    labels = stuff_labels(content.categories)
    if not source.is_dir():
        raise UserError(f'maps={str(maps)!r} is no folder; name the folder of the panoptic maps')
    faults = Faults()
    for entry in content.entries:
        if not (source / entry.file_name).is_file():
            faults.add('missing maps', entry.file_name)
    _refuse(faults, source)
    notes = Faults()
    with replacing_folder(target) as folder:
        _write(content.entries, source, folder, labels=labels, faults=faults, notes=notes)
        _refuse(faults, source)
        _check_new(target)
    return WrittenMaps(len(content.entries), tuple(f'maps={str(maps)!r} has {line}' for line in notes.lines()))


def _write(
    entries: Sequence[PanopticEntry],
    source: Path,
    folder: Path,
    *,
    labels: Mapping[int, int],
    faults: Faults,
    notes: Faults,
) -> None:
    """Write the maps into a folder until one is wrong; look for faults in the others then."""
    wrong = 0
    for done, entry in enumerate(tqdm(entries, unit='map', disable=None), start=1):  # None: a bar on a terminal only
        try:
            numbers = read_panoptic_map(source / entry.file_name, size=entry.size)
            if note := check_segments(numbers, entry.segments):
                notes.add(note, entry.file_name)
        except UserError as error:
            faults.add(str(error), entry.file_name)
            wrong += 1
        if not wrong:
            _, data = cv2.imencode('.png', stuff_map(numbers, entry.segments, labels=labels))
            (folder / entry.file_name).write_bytes(data.tobytes())
        elif wrong == done >= _ENOUGH:
            return


def _refuse(faults: Faults, maps: Path) -> None:
    if faults:
        raise UserError('\n'.join(f'maps={str(maps)!r} has {line}' for line in faults.lines()))


def _check_place(out: Path, *, inputs: Mapping[str, Path]) -> None:
    """Refuse a folder that is, holds or lies in one of the inputs, with links followed."""
    place = out.resolve()
    for name, path in inputs.items():
        used = path.resolve()
        if place == used or place in used.parents or used in place.parents:
            raise UserError(f'out={str(out)!r} is, holds or lies in {name}={str(path)!r}; choose another folder')


def _check_new(folder: Path) -> None:
    if os.path.lexists(folder):
        raise UserError(f'out={str(folder)!r} exists; move it away or choose another folder')
