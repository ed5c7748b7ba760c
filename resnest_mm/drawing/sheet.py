"""A sheet of pictures: a title, a legend, and panels with captions.

The composition is by hand with Pillow. The grids of images of supervision and matplotlib offer no legend that breaks
into lines, no captions that are cut to the width of their panel, and no panels at exact pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from resnest_mm.annotations.annotated_image import Pixels
from resnest_mm.atomic import replacing
from resnest_mm.drawing.grid import LEGEND_LINE, MARGIN, SheetGrid, fitted_size
from resnest_mm.drawing.legend import SWATCH, Entries
from resnest_mm.errors import printable

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

_INK: Final = (30, 30, 30)
_GREY: Final = (110, 110, 110)


def fit(image: Pixels, panel: tuple[int, int]) -> Image:
    """Return an image that is scaled until it just fits into a panel.

    Args:
        image: RGB, 0 to 255.
        panel: Width and height of the panel.
    """
    from PIL import Image as pillow

    return pillow.fromarray(image).resize(fitted_size(image.shape, panel), pillow.Resampling.LANCZOS)


class Sheet:
    """A sheet that is being drawn.

    Args:
        grid: The places of the panels; it gets as many lines for the legend as the legend needs.
        title: Bold words at the left.
        source: Grey words at the right of the title, such as where the images are from.
        model: Grey words at the right of the legend, such as the name of the model.
        legend: Names of classes and their squares.
    """

    def __init__(self, grid: SheetGrid, *, title: str, source: str, model: str, legend: Entries) -> None:
        from PIL import Image as pillow
        from PIL import ImageDraw

        right = grid.size[0] - MARGIN
        places = _place([name for name, _ in legend], width=right - MARGIN - round(font(18).getlength(model)))
        self.grid = replace(grid, legend_lines=1 + max((line for _, line in places), default=0))
        self._picture = pillow.new('RGB', self.grid.size, 'white')
        self._draw = ImageDraw.Draw(self._picture)
        self._draw.text((MARGIN, 20), title, font=font(24, bold=True), fill=_INK)
        self._draw.text((right, 24), source, font=font(18), fill=_GREY, anchor='ra')
        self._draw.text((right, 81), model, font=font(18), fill=_GREY, anchor='rs')
        for (name, square), (x, line) in zip(legend, places, strict=True):
            top = 66 + line * LEGEND_LINE
            self._picture.paste(pillow.fromarray(square), (MARGIN + x, top))
            self._draw.text((MARGIN + x + SWATCH + 8, top + 15), name, font=font(17), fill=_INK, anchor='ls')

    def put(self, index: int, panel: int, image: Image, *, name: str = '', note: str = '') -> None:
        """Put an image into the middle of a panel.

        Args:
            index: Number of the image, from 0.
            panel: Number of the panel of this image, from 0 at the left.
            image: Not larger than the panel.
            name: Dark words above the panel, at the left; cut where the note begins.
            note: Grey words above the panel, at the right.
        """
        left, top = self.grid.corner(index, panel)
        width, height = self.grid.panel
        self._draw.rectangle((left, top, left + width - 1, top + height - 1), fill=(235, 235, 235))
        self._picture.paste(image, (left + (width - image.size[0]) // 2, top + (height - image.size[1]) // 2))
        self._draw.text((left + width, top - 8), note, font=font(15), fill=_GREY, anchor='rs')
        room = width - round(font(15).getlength(note))
        self._draw.text((left, top - 8), shorten(printable(name), room), font=font(15), fill=_INK, anchor='ls')

    def save(self, path: Path) -> None:
        """Write the sheet as a PNG.

        Args:
            path: The picture to write or replace.
        """
        with replacing(path) as temporary:
            self._picture.save(temporary, format='png')


def shorten(name: str, width: int) -> str:
    """Return a name whose start is cut until it fits into a width, in the font of captions.

    Args:
        name: Such as a file's name.
        width: In pixels.
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
    from PIL import ImageFont

    return ImageFont.truetype(font_file(bold=bold), size)


def font_file(*, bold: bool = False) -> str:
    """Return the path of the font of the sheet, which comes with matplotlib.

    Args:
        bold: Whether it is bold.
    """
    from matplotlib.font_manager import FontProperties, findfont

    return str(findfont(FontProperties(family='DejaVu Sans', weight='bold' if bold else 'normal')))


def _place(names: Sequence[str], *, width: int) -> list[tuple[int, int]]:
    """Return x, from 0, and line of each name in a legend that breaks where `width` ends."""
    places: list[tuple[int, int]] = []
    x = line = 0
    for name in names:
        step = SWATCH + 8 + round(font(17).getlength(name)) + 28
        if x and x + step > width:
            x, line = 0, line + 1
        places.append((x, line))
        x += step
    return places
