"""Reading a label map as the pipeline reads it, and saying why that fails."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from resnest_mm.annotations.png import find_png_damage
from resnest_mm.errors import one_line

_JPEG: Final = b'\xff\xd8\xff'
_TURNED: Final = (5, 6, 7, 8)
_ORIENTATION: Final = 0x0112
"""EXIF tag; with a value of `_TURNED` the host turns an image by 90 degrees when it reads it."""


class Pair(NamedTuple):
    """An image and its label map.

    Args:
        image: Path of the image.
        label_map: Path of its map.
    """

    image: str
    label_map: str


@dataclass(frozen=True)
class MapValues:
    """What a file of labels holds.

    Args:
        counts: Number of pixels by value, before any change of the pipeline; empty where `fault` is set.
        size: Width and height in pixels.
        image_size: Those of the image, or None where they are unknown.
        channels: 1 for a label map.
        fault: Why the file cannot be read; empty where it can.
        lossy: Whether it is a JPEG, which changes values near edges.
    """

    counts: Mapping[int, int]
    size: tuple[int, int] = (0, 0)
    image_size: tuple[int, int] | None = None
    channels: int = 1
    fault: str = ''
    lossy: bool = False


def read_map(pair: Pair, *, backend: str) -> MapValues:
    """Return the values of a label map.

    Args:
        pair: The map and its image, of which only the size is read.
        backend: `imdecode_backend` of the pipeline: pillow reads a palette as numbers, cv2 as colours.
    """
    import mmcv

    try:
        content = Path(pair.label_map).read_bytes()
        fault = 'the file is empty' if not content else find_png_damage(content)
        if fault:
            return MapValues({}, fault=fault)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            pixels = mmcv.imfrombytes(content, flag='unchanged', backend=backend)
        if pixels is None:
            return MapValues({}, fault='it cannot be decoded')
    except Exception as error:
        return MapValues({}, fault=_why(error))
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    size = (int(pixels.shape[1]), int(pixels.shape[0]))
    channels = 1 if pixels.ndim == 2 else int(pixels.shape[2])
    if channels > 1:
        return MapValues({}, size, channels=channels)
    if pixels.dtype.kind not in 'biu':
        return MapValues({}, fault=f'its pixels are {pixels.dtype}, and labels are integers')
    return MapValues(count_values(pixels), size, _image_size(pair.image), lossy=content.startswith(_JPEG))


def count_values(pixels: npt.NDArray[Any]) -> dict[int, int]:
    """Return the number of pixels of each value.

    Args:
        pixels: Integers or booleans of any shape.
    """
    if pixels.dtype == np.uint8 or pixels.dtype.kind == 'b':
        counts = np.bincount(pixels.reshape(-1).astype(np.uint8), minlength=1)
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    values, numbers = np.unique(pixels, return_counts=True)
    return dict(zip(values.tolist(), numbers.tolist(), strict=True))


def _image_size(path: str) -> tuple[int, int] | None:
    """Return width and height of an image as the pipeline gets it, from its header."""
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter('ignore')
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION) in _TURNED
    except Exception:  # another check opens the images; Pillow does not know all formats, either
        return None
    return (height, width) if turned else (width, height)


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    # The texts of OpenCV and Pillow hold memory addresses and lines of their code.
    text = one_line(error).partition(' <_io.')[0]
    return f'{type(error).__name__}: {text[:120]}'
