"""The places of the panels on a sheet: images in rows, the panels of an image side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from resnest_mm.annotations.annotated_image import Pixels

MARGIN: Final = 24
PANEL_GAP: Final = 6
HEADER: Final = 104
CAPTION: Final = 30
LEGEND_LINE: Final = 26


@dataclass(frozen=True)
class SheetGrid:
    """The places of everything on a sheet, in pixels of the sheet.

    Args:
        panel: Width and height of every panel.
        panels: Panels of one image, side by side.
        columns: Images side by side.
        rows: Images below each other.
        legend_lines: Lines of the legend.
    """

    panel: tuple[int, int]
    panels: int
    columns: int
    rows: int
    legend_lines: int = 1

    @property
    def header(self) -> int:
        """Height of the title and the legend above the first image."""
        return HEADER + (self.legend_lines - 1) * LEGEND_LINE

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the sheet."""
        return MARGIN + self.columns * self._step, self.header + self.rows * (CAPTION + self.panel[1] + MARGIN)

    def corner(self, index: int, panel: int) -> tuple[int, int]:
        """Return the left top corner of a panel.

        Args:
            index: Number of the image, from 0.
            panel: Number of the panel of this image, from 0 at the left.
        """
        row, column = divmod(index, self.columns)
        left = MARGIN + column * self._step + panel * (self.panel[0] + PANEL_GAP)
        return left, self.header + row * (CAPTION + self.panel[1] + MARGIN) + CAPTION

    @property
    def _step(self) -> int:
        return self.panels * self.panel[0] + (self.panels - 1) * PANEL_GAP + MARGIN


def plan_grid(images: Sequence[Pixels], *, panels: int, panel_width: int) -> SheetGrid:
    """Return a grid whose panels have the median shape of the images.

    Args:
        images: At least one.
        panels: Panels of one image, at least 1.
        panel_width: Width of a panel in pixels.
    """
    ratio = float(np.median([image.shape[0] / image.shape[1] for image in images]))
    columns = 1 if len(images) == 1 else 2
    height = round(panel_width * min(max(ratio, 0.4), 1.5))
    return SheetGrid((panel_width, height), panels, columns, -(-len(images) // columns))


def fitted_size(shape: tuple[int, ...], panel: tuple[int, int]) -> tuple[int, int]:
    """Return width and height, at least 1 each, of an image that is scaled until it just fits into a panel.

    Args:
        shape: Height and width of the image; more entries are ignored.
        panel: Width and height of the panel.
    """
    scale = min(panel[0] / shape[1], panel[1] / shape[0])
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))
