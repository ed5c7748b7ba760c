"""Painting what comes with an image onto it: label map, masks, boxes and names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from resnest_mm.browse.samples import Fed, Objects
from resnest_mm.drawing.palette import class_colour, ink_on
from resnest_mm.drawing.sheet import fit, font
from resnest_mm.report.segmentation import hatch

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Colour = tuple[int, int, int]
Corners = tuple[int, int, int, int]

LINE: Final = 3
MAP_SHARE: Final = 0.6
"""How much of a pixel is its class's colour; the rest is the image."""
MASK_SHARE: Final = 0.35
IGNORED: Final[Colour] = (120, 120, 120)
"""Colour of an object that the model is told to leave out."""
_OUTLINE: Final = 2
_DASH: Final = 6


@dataclass(frozen=True)
class ClassBook:
    """Names and colours of the classes.

    Args:
        names: Names by label.
        palette: RGB colours by label, 0 to 255; labels beyond its end get colours of their own.
        maps_share_names: Whether a label map counts its classes as the boxes do, so that they have the same names.
    """

    names: Sequence[str]
    palette: Sequence[Colour] = ()
    maps_share_names: bool = True

    def name(self, label: int) -> str:
        """Return the name of an object's class."""
        return self.names[label] if 0 <= label < len(self.names) else f'{label}, no such class'

    def map_name(self, label: int) -> str:
        """Return the name of a class in a label map."""
        return self.name(label) if self.maps_share_names else f'label {label}'

    def colour(self, label: int) -> Colour:
        """Return the RGB colour of a class, 0 to 255 each; a wrong label has one as well."""
        return self.palette[label] if 0 <= label < len(self.palette) else class_colour(abs(label))


def paint(fed: Fed, panel: tuple[int, int], book: ClassBook, *, tags: bool = True) -> Image:
    """Return an image with all that comes with it, scaled to fit into a panel.

    Pixels that do not count are hatched. An ignored object is grey and dashed, one without area dashed.

    Args:
        fed: What to paint.
        panel: Width and height in pixels.
        book: The classes.
        tags: Whether to write the names of the classes.
    """
    from PIL import Image as pillow
    from PIL import ImageDraw

    fitted = fit(fed.image, panel)
    pixels = np.asarray(fitted).astype(np.float64)
    if fed.label_map is not None:
        _blend_map(pixels, fed.label_map, book, fed.ignore_index)
    order = _largest_first(fed.objects)
    colours = _colours(fed.objects, book)
    if fed.objects is not None and fed.objects.masks is not None:
        for index in order:
            # A label map has coloured the objects already.
            _blend_mask(pixels, fed.objects.masks[index], colours[index], fill=fed.label_map is None)
    fitted = pillow.fromarray(pixels.round().astype(np.uint8))
    if fed.objects is not None:
        draw = ImageDraw.Draw(fitted)
        scale = np.array([fitted.size[0] / fed.image.shape[1], fitted.size[1] / fed.image.shape[0]] * 2)
        corners = [_on_canvas(box * scale, fitted.size) for box in fed.objects.corners]
        dashed = fed.objects.ignored | fed.objects.flat
        for index in order:
            _draw_box(draw, corners[index], colours[index], dashed=bool(dashed[index]))
        for index in order if tags else ():
            ignored = 'ignored ' if fed.objects.ignored[index] else ''
            text = f'{ignored}{book.name(int(fed.objects.labels[index]))}'
            _tag(draw, corners[index], text, colours[index], fitted.size)
    return fitted


def _colours(objects: Objects | None, book: ClassBook) -> list[Colour]:
    if objects is None:
        return []
    pairs = zip(objects.labels, objects.ignored, strict=True)
    return [IGNORED if ignored else book.colour(int(label)) for label, ignored in pairs]


def _largest_first(objects: Objects | None) -> list[int]:
    if objects is None:
        return []
    areas = np.prod(np.maximum(objects.corners[:, 2:] - objects.corners[:, :2], 0), axis=1)
    return [int(index) for index in np.argsort(-areas, kind='stable')]


def _blend_map(
    pixels: npt.NDArray[np.float64], label_map: npt.NDArray[np.int64], book: ClassBook, ignore_index: int
) -> None:
    height, width = pixels.shape[:2]
    labels = _nearest(label_map, height, width)
    colours = np.array(hatch(height, width), dtype=np.float64)
    for label in np.unique(labels):
        if label != ignore_index:
            colours[labels == label] = book.colour(int(label))
    pixels += MAP_SHARE * (colours - pixels)


def _blend_mask(pixels: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_], colour: Colour, *, fill: bool) -> None:
    inside = _nearest(mask, *pixels.shape[:2])
    core = inside
    for _ in range(_OUTLINE):
        around = np.pad(core, 1)
        core = core & around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    if fill:
        pixels[core] += MASK_SHARE * (np.array(colour) - pixels[core])
    pixels[inside & ~core] = colour


def _nearest(values: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
    """Return labels at another size; none are mixed."""
    rows = ((np.arange(height) + 0.5) * values.shape[0] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * values.shape[1] / width).astype(np.int64)
    return np.asarray(values[rows[:, None], columns])


def _on_canvas(corners: npt.NDArray[np.float64], size: tuple[int, int]) -> Corners:
    """Return corners as whole pixels inside the image, in order, so that a box without area still shows."""
    left, top = (min(max(round(float(corners[axis])), 0), size[axis] - 1) for axis in (0, 1))
    right, bottom = (min(max(round(float(corners[axis + 2])), 0), size[axis] - 1) for axis in (0, 1))
    return left, top, max(left, right), max(top, bottom)


def _draw_box(draw: ImageDraw, corners: Corners, colour: Colour, *, dashed: bool) -> None:
    left, top, right, bottom = corners
    # A white rim keeps a box visible on an object of its own colour.
    draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline='white', width=LINE + 2)
    if not dashed:
        draw.rectangle(corners, outline=colour, width=LINE)
        return
    last = LINE - 1
    for x in range(left, right + 1, 2 * _DASH):
        end = min(x + _DASH - 1, right)
        draw.rectangle((x, top, end, top + last), fill=colour)
        draw.rectangle((x, bottom - last, end, bottom), fill=colour)
    for y in range(top, bottom + 1, 2 * _DASH):
        end = min(y + _DASH - 1, bottom)
        draw.rectangle((left, y, left + last, end), fill=colour)
        draw.rectangle((right - last, y, right, end), fill=colour)


def _tag(draw: ImageDraw, corners: Corners, text: str, colour: Colour, size: tuple[int, int]) -> None:
    """Write a name on its colour, above the box, or inside at its top where the image ends."""
    small = font(12)
    width, height = round(small.getlength(text)) + 6, 16
    left = max(0, min(corners[0], size[0] - width))
    top = corners[1] - height + 1 if corners[1] >= height else min(corners[1], size[1] - height)
    draw.rectangle((left, top, left + width - 1, top + height - 1), fill=colour)
    draw.text((left + 3, top + 12), text, font=small, fill=ink_on(colour), anchor='ls')
