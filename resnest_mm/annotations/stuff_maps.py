"""Making semantic label maps of stuff from COCO's panoptic maps, as detectron2's Panoptic FPN is trained on them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from resnest_mm.atomic import replacing_folder

THINGS: Final = 0
UNLABELLED: Final = 255


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
    panoptic: npt.NDArray[np.uint8], segments: Sequence[Mapping[str, Any]], *, labels: Mapping[int, int]
) -> npt.NDArray[np.uint8]:
    """Return the label of every pixel, and 255 where no segment is.

    Args:
        panoptic: Segment of every pixel as a colour, BGR, [H, W, 3].
        segments: `segments_info` of the image, each with `id` and `category_id`.
        labels: Label of each category.

    Shape:
        output [H, W].
    """
    blue, green, red = np.moveaxis(panoptic.astype(np.int64), 2, 0)
    numbers = red + 256 * green + 65536 * blue
    result = np.full(numbers.shape, UNLABELLED, np.uint8)
    for segment in segments:
        result[numbers == segment['id']] = labels[segment['category_id']]
    return result


def write_stuff_maps(
    annotations: str | os.PathLike[str],
    maps: str | os.PathLike[str],
    out: str | os.PathLike[str],
) -> int:
    """Write the stuff maps of all images of a panoptic file or none of them, and show the progress on a terminal.

    Args:
        annotations: COCO's `panoptic_*.json`.
        maps: Folder of its maps.
        out: Folder to write, which must not exist yet.

    Returns:
        The number of maps.

    Raises:
        ValueError: `out` exists, or the file is no panoptic file.
        OSError: A file cannot be read or written.
    """
    target = Path(out)
    _check_new(target)
    content = json.loads(Path(annotations).read_text(encoding='utf-8'))
    try:
        entries, labels = content['annotations'], stuff_labels(content['categories'])
        used = {segment['category_id'] for entry in entries for segment in entry['segments_info']}
    except (TypeError, KeyError) as error:
        raise ValueError(
            f'annotations={str(annotations)!r} holds no segments; it should be a panoptic_*.json of COCO'
        ) from error
    if unknown := sorted(used - labels.keys()):
        raise ValueError(
            f'annotations={str(annotations)!r} has segments of category {unknown[0]}, which it does not list'
        )
    with replacing_folder(target) as folder:
        for entry in tqdm(entries, unit='map', disable=None):  # None: a bar on a terminal only
            panoptic = cv2.imread(str(Path(maps, entry['file_name'])), cv2.IMREAD_COLOR)
            if panoptic is None:
                raise OSError(f'{Path(maps, entry["file_name"])} cannot be read; maps={str(maps)!r} should hold it')
            drawn = stuff_map(np.asarray(panoptic, np.uint8), entry['segments_info'], labels=labels)
            _, data = cv2.imencode('.png', drawn)
            (folder / entry['file_name']).write_bytes(data.tobytes())
        _check_new(target)
    return len(entries)


def _check_new(folder: Path) -> None:
    if folder.exists():
        raise ValueError(f'out={str(folder)!r} exists; move it away or choose another folder')
