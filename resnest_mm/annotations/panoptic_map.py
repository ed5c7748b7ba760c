"""Reading a panoptic map, and comparing its colours with the segments that the panoptic file lists for it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from resnest_mm.annotations.png import SIGNATURE, find_png_damage
from resnest_mm.errors import UserError

_RGB: Final = (8, 2)
"""Bit depth and colour type of a PNG with three bytes per pixel."""

_SAME_AREA: Final = (0.1, 16.0)
"""Two areas count as one if they differ by at most this share or this many pixels."""

Numbers = npt.NDArray[np.int64]


def read_panoptic_map(path: Path, *, size: tuple[int, int] | None) -> Numbers:
    """Return the segment of every pixel; [H, W].

    Args:
        path: The map, a PNG whose colour is red + 256 green + 65536 blue.
        size: Width and height that it should have, in pixels; None where they are unknown.

    Raises:
        UserError: The file is no RGB map of that size; the message does not name the file.
        OSError: The file cannot be read.
    """
    content = path.read_bytes()
    if not content.startswith(SIGNATURE):
        raise UserError('maps that are no PNG')
    if find_png_damage(content):
        raise UserError('maps that are damaged')
    if tuple(content[24:26]) != _RGB:
        raise UserError('maps with one channel, a palette, transparency or 16 bits; panoptic maps are RGB of 8 bits')
    try:
        with Image.open(io.BytesIO(content)) as picture:
            colours = np.asarray(picture.convert('RGB'), np.uint8)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise UserError('maps that are damaged') from error
    if size is not None and (colours.shape[1], colours.shape[0]) != size:
        raise UserError('maps of another size than their image')
    return segment_ids(colours)


def segment_ids(colours: npt.NDArray[np.uint8]) -> Numbers:
    """Return the segment of every pixel.

    Args:
        colours: RGB.

    Shape:
        - colours: [H, W, 3]
        - output: [H, W]
    """
    red, green, blue = np.moveaxis(colours.astype(np.int64), 2, 0)
    return np.asarray(red + 256 * green + 65536 * blue)


def check_segments(numbers: Numbers, segments: Sequence[Mapping[str, Any]]) -> str | None:
    """Refuse a map that belongs to other segments than those listed; return what may be wrong with another one.

    Args:
        numbers: Segment of every pixel, [H, W].
        segments: `segments_info` of the image. Where they have an `area`, it is compared.

    Returns:
        A kind of fault that leaves the map usable, or None.

    Raises:
        UserError: The map holds none of the segments, mostly other ones, or most have another area.
    """
    areas = {segment['id']: int(np.count_nonzero(numbers == segment['id'])) for segment in segments}
    labelled = int(np.count_nonzero(numbers))
    unlisted = labelled - sum(areas.values())
    if (areas and not any(areas.values())) or 2 * unlisted > labelled:
        raise UserError('maps whose colours are not the ids of their segments; is it the folder of this file?')
    compared = [(areas[segment['id']], segment['area']) for segment in segments if _is_area(segment.get('area'))]
    if 2 * sum(not _same(found, listed) for found, listed in compared) > len(compared):
        raise UserError('maps whose segments have other areas than listed; is it the folder of this file?')
    if unlisted:
        return 'maps with colours of no segment, which become 255'
    return 'maps without a pixel of one of their segments' if 0 in areas.values() else None


def _is_area(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _same(found: float, listed: float) -> bool:
    share, pixels = _SAME_AREA
    return abs(found - listed) <= max(share * listed, pixels)
