"""The picture of a segmenter's answers: each image, beside it the classes its pixels should and those they did get."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from resnest_mm.drawing.panels import Layout, Pixels, fitted_size, plan_layout
from resnest_mm.drawing.sheet import SWATCH, Sheet, fit, swatch
from resnest_mm.report.samples import MapSample

if TYPE_CHECKING:
    from PIL.Image import Image

Labels = npt.NDArray[np.integer[Any]]

PANEL_WIDTH: Final = 400  # pixels; every image is scaled to this width or to the panel's height
HATCH: Final = ((236, 236, 236), (176, 176, 176))
"""RGB colours of the ground and of the lines where a pixel does not count."""
_HATCH_STEP: Final = 9
_HATCH_LINE: Final = 3
_FRAME: Final = 130


def draw_segmentation(
    samples: Sequence[MapSample],
    path: Path,
    *,
    class_names: Sequence[str],
    palette: Sequence[tuple[int, int, int]],
    ignore_index: int,
    source: str,
    model: str,
) -> Layout:
    """Draw image, ground truth and prediction of each sample side by side, as a PNG; return where they are in it.

    Args:
        samples: At least one.
        path: The picture to write or replace.
        class_names: Names by label.
        palette: RGB colours by label, 0 to 255.
        ignore_index: Label of the pixels that do not count; they are hatched.
        source: Where the images are from, for the title, such as `'87 val images'`.
        model: What predicted, for the title, such as the checkpoint's name.
    """
    sheet = Sheet(
        plan_layout([item.image for item in samples], panels=3, panel_width=PANEL_WIDTH),
        title='Image, ground truth and prediction',
        source=f'{len(samples)} of {source}, evenly spaced',
        model=model,
        legend=_legend(samples, class_names, palette, ignore_index),
    )
    panel = sheet.layout.panel
    for index, item in enumerate(samples):
        truth, prediction = (
            _draw_map(labels, panel, palette=palette, ignore_index=ignore_index)
            for labels in (item.truth, item.prediction)
        )
        accuracy = f'pixel accuracy {item.accuracy:.3f}' if math.isfinite(item.accuracy) else 'no pixel counts'
        sheet.put(index, 0, fit(item.image, panel), name=item.name)
        sheet.put(index, 1, truth, name='ground truth')
        sheet.put(index, 2, prediction, name='prediction', note=accuracy)
    sheet.save(path)
    return sheet.layout


def _legend(
    samples: Sequence[MapSample],
    class_names: Sequence[str],
    palette: Sequence[tuple[int, int, int]],
    ignore_index: int,
) -> list[tuple[str, Pixels]]:
    """Return the classes that are shown, then the hatch where it is."""
    maps = [labels for item in samples for labels in (item.truth, item.prediction)]
    shown = sorted({int(label) for labels in maps for label in np.unique(labels)} - {ignore_index})
    legend = [(class_names[label], swatch(palette[label])) for label in shown]
    if any((labels == ignore_index).any() for labels in maps):
        legend.append(('not labelled, does not count', hatch(SWATCH, SWATCH)))
    for _, square in legend:
        square[[0, -1]] = _FRAME
        square[:, [0, -1]] = _FRAME
    return legend


def _draw_map(
    labels: Labels, panel: tuple[int, int], *, palette: Sequence[tuple[int, int, int]], ignore_index: int
) -> Image:
    """Return labels in their colours, scaled to fit into a panel of width x height pixels; no colours are mixed."""
    from PIL import Image as pillow

    width, height = fitted_size(labels.shape, panel)
    rows = (np.arange(height) + 0.5) * labels.shape[0] // height
    columns = (np.arange(width) + 0.5) * labels.shape[1] // width
    scaled = labels[rows.astype(np.int64)[:, None], columns.astype(np.int64)]
    ignored = scaled == ignore_index
    colours = np.array(palette, dtype=np.uint8)[np.where(ignored, 0, scaled)]
    return pillow.fromarray(np.where(ignored[..., None], hatch(height, width), colours))


def hatch(height: int, width: int) -> Pixels:
    """Return the stripes that stand for pixels that do not count, [height, width, 3].

    Args:
        height: Pixels down.
        width: Pixels across.
    """
    rows, columns = np.indices((height, width))
    ground, line = (np.array(colour, dtype=np.uint8) for colour in HATCH)
    return np.where(((rows + columns) % _HATCH_STEP < _HATCH_LINE)[..., None], line, ground)
