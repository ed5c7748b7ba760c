"""Dashed boxes and hatched pixels, which supervision cannot draw.

Its box annotators draw solid lines only, and its mask annotators fill with a single colour. A dashed line marks an
object that is ignored or has no area, and a hatch tells ignored pixels from those of a grey class.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from resnest_mm.annotations.annotated_image import Pixels
from resnest_mm.drawing.palette import Colour

HATCH: Final = ((236, 236, 236), (176, 176, 176))
"""Colours of the ground and of the lines of ignored pixels."""
_HATCH_STEP: Final = 9
_HATCH_LINE: Final = 3
_DASH: Final = 6


def hatch(height: int, width: int) -> Pixels:
    """Return the stripes that stand for ignored pixels, [height, width, 3].

    Args:
        height: Rows of pixels.
        width: Columns of pixels.
    """
    rows, columns = np.indices((height, width))
    ground, line = (np.array(colour, dtype=np.uint8) for colour in HATCH)
    return np.where(((rows + columns) % _HATCH_STEP < _HATCH_LINE)[..., None], line, ground)


def draw_dashed_box(pixels: Pixels, corners: npt.NDArray[np.int64], colour: Colour, *, thickness: int) -> None:
    """Draw a dashed box onto an image, in place.

    Args:
        pixels: The image, [H, W, 3].
        corners: Left, top, right and bottom of the box in pixels, inside the image and in any order.
        colour: In the channel order of the image.
        thickness: Width of the lines in pixels, odd; they are centred on the corners.
    """
    (left, right), (top, bottom) = sorted(corners[[0, 2]].tolist()), sorted(corners[[1, 3]].tolist())
    half = thickness // 2
    for y in (top, bottom):
        for x in range(left, right + 1, 2 * _DASH):
            pixels[max(y - half, 0) : y + half + 1, x : min(x + _DASH, right + 1)] = colour
    for x in (left, right):
        for y in range(top, bottom + 1, 2 * _DASH):
            pixels[y : min(y + _DASH, bottom + 1), max(x - half, 0) : x + half + 1] = colour
