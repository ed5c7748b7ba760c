"""Where the panels of a picture go: samples in rows, their panels side by side, images scaled to fit into them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

MARGIN: Final = 24
PANEL_GAP: Final = 6
HEADER: Final = 104
CAPTION: Final = 30
LEGEND_LINE: Final = 26

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Layout:
    """Where everything is on the sheet, in its pixels.

    Args:
        panel: Width and height of every panel.
        panels: Panels of one sample, side by side.
        columns: Samples side by side.
        rows: Samples below each other.
        legend_lines: Lines of the legend.
    """

    panel: tuple[int, int]
    panels: int
    columns: int
    rows: int
    legend_lines: int = 1

    @property
    def header(self) -> int:
        """Height of what stands above the first sample."""
        return HEADER + (self.legend_lines - 1) * LEGEND_LINE

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the sheet."""
        return MARGIN + self.columns * self._sample, self.header + self.rows * (CAPTION + self.panel[1] + MARGIN)

    def corner(self, index: int, panel: int) -> tuple[int, int]:
        """Return the left top corner of a panel.

        Args:
            index: Number of the sample, from 0.
            panel: Number of the panel in its sample, from 0 at the left.
        """
        row, column = divmod(index, self.columns)
        left = MARGIN + column * self._sample + panel * (self.panel[0] + PANEL_GAP)
        return left, self.header + row * (CAPTION + self.panel[1] + MARGIN) + CAPTION

    @property
    def _sample(self) -> int:
        return self.panels * self.panel[0] + (self.panels - 1) * PANEL_GAP + MARGIN


def plan_layout(images: Sequence[Pixels], *, panels: int, panel_width: int) -> Layout:
    """Return a layout whose panels have the median shape of the images.

    Args:
        images: One for each sample, at least one.
        panels: Panels of one sample, at least 1.
        panel_width: Width of a panel in pixels.
    """
    ratio = float(np.median([image.shape[0] / image.shape[1] for image in images]))
    columns = 1 if len(images) == 1 else 2
    height = round(panel_width * min(max(ratio, 0.4), 1.5))
    return Layout((panel_width, height), panels, columns, -(-len(images) // columns))


def scale_to_fit(shape: tuple[int, ...], panel: tuple[int, int]) -> float:
    """Return the factor by which an image just fits into a panel.

    Args:
        shape: Height and width of the image, and whatever follows.
        panel: Width and height of the panel.
    """
    return min(panel[0] / shape[1], panel[1] / shape[0])


def fitted_size(shape: tuple[int, ...], panel: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of an image that is scaled by `scale_to_fit`, at least 1 each.

    Args:
        shape: Height and width of the image, and whatever follows.
        panel: Width and height of the panel.
    """
    scale = scale_to_fit(shape, panel)
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))
