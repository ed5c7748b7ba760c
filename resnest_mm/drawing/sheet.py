"""The sheet that shows a model's answers: a title, a legend, and panels with their captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from resnest_mm.atomic import replacing
from resnest_mm.drawing.panels import LEGEND_LINE, MARGIN, Layout, Pixels, fitted_size

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

SWATCH: Final = 18  # pixels; the side of a square in the legend
_INK: Final = (30, 30, 30)
_GREY: Final = (110, 110, 110)


def fit(image: Pixels, panel: tuple[int, int]) -> Image:
    """Return an image scaled by `scale_to_fit`.

    Args:
        image: RGB, 0 to 255.
        panel: Width and height of the panel.
    """
    from PIL import Image as pillow

    return pillow.fromarray(image).resize(fitted_size(image.shape, panel), pillow.Resampling.LANCZOS)


def swatch(colour: tuple[int, int, int]) -> Pixels:
    """Return the square that stands for a colour in the legend.

    Args:
        colour: RGB, 0 to 255 each.
    """
    return np.full((SWATCH, SWATCH, 3), colour, dtype=np.uint8)


class Sheet:
    """A sheet that is being drawn.

    Args:
        layout: Where everything goes; it gets as many lines for the legend as that needs.
        title: What the panels show.
        source: Where the images are from.
        model: What answered.
        legend: Names and their squares of `SWATCH` pixels.
    """

    def __init__(
        self, layout: Layout, *, title: str, source: str, model: str, legend: Sequence[tuple[str, Pixels]]
    ) -> None:
        from PIL import Image as pillow
        from PIL import ImageDraw

        right = layout.size[0] - MARGIN
        places = _place([name for name, _ in legend], width=right - MARGIN - round(font(18).getlength(model)))
        self.layout = replace(layout, legend_lines=1 + max((line for _, line in places), default=0))
        self._picture = pillow.new('RGB', self.layout.size, 'white')
        self._draw = ImageDraw.Draw(self._picture)
        self._draw.text((MARGIN, 20), title, font=font(24, bold=True), fill=_INK)
        self._draw.text((right, 24), source, font=font(18), fill=_GREY, anchor='ra')
        self._draw.text((right, 81), model, font=font(18), fill=_GREY, anchor='rs')
        for (name, square), (x, line) in zip(legend, places, strict=True):
            top = 66 + line * LEGEND_LINE
            self._picture.paste(pillow.fromarray(square), (MARGIN + x, top))
            self._draw.text((MARGIN + x + 26, top + 15), name, font=font(17), fill=_INK, anchor='ls')

    def put(self, index: int, panel: int, image: Image, *, name: str = '', note: str = '') -> None:
        """Put an image into the middle of a panel.

        Args:
            index: Number of the sample, from 0.
            panel: Number of the panel in its sample, from 0 at the left.
            image: Not larger than the panel.
            name: Dark words above it, at the left; cut where the panel ends.
            note: Grey words above it, at the right.
        """
        left, top = self.layout.corner(index, panel)
        width, height = self.layout.panel
        self._draw.rectangle((left, top, left + width - 1, top + height - 1), fill=(235, 235, 235))
        self._picture.paste(image, (left + (width - image.size[0]) // 2, top + (height - image.size[1]) // 2))
        self._draw.text((left + width, top - 8), note, font=font(15), fill=_GREY, anchor='rs')
        room = width - round(font(15).getlength(note))
        self._draw.text((left, top - 8), shorten(name, room), font=font(15), fill=_INK, anchor='ls')

    def save(self, path: Path) -> None:
        """Write the sheet as a PNG.

        Args:
            path: The picture to write or replace.
        """
        with replacing(path) as temporary:
            self._picture.save(temporary, format='png')


def shorten(name: str, width: int) -> str:
    """Return a name that is at most as wide as given, in the font of captions, its end kept.

    Args:
        name: Such as a file's name.
        width: Pixels it may take.
    """
    if font(15).getlength(name) <= width:
        return name
    rest = next((name[cut:] for cut in range(1, len(name)) if font(15).getlength('…' + name[cut:]) <= width), '')
    return '…' + rest


def font(size: int, *, bold: bool = False) -> FreeTypeFont:
    """Return the font of the sheet.

    Args:
        size: Height in pixels.
        bold: Whether it is bold.
    """
    from matplotlib.font_manager import FontProperties, findfont
    from PIL import ImageFont

    properties = FontProperties(family='DejaVu Sans', weight='bold' if bold else 'normal')
    return ImageFont.truetype(findfont(properties), size)


def _place(names: Sequence[str], *, width: int) -> list[tuple[int, int]]:
    """Return x, from 0, and line of each name in a legend that breaks where `width` ends."""
    places: list[tuple[int, int]] = []
    x = line = 0
    for name in names:
        step = 26 + round(font(17).getlength(name)) + 28
        if x and x + step > width:
            x, line = 0, line + 1
        places.append((x, line))
        x += step
    return places
