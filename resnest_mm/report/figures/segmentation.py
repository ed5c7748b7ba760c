"""The picture of a segmentor's predictions: each image, its ground truth and the prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from resnest_mm.drawing.annotate import draw_annotated
from resnest_mm.drawing.grid import SheetGrid, plan_grid
from resnest_mm.drawing.legend import Legend
from resnest_mm.drawing.palette import ClassStyles
from resnest_mm.drawing.sheet import Sheet, fit
from resnest_mm.report.predictions.comparison import Comparison

PANEL_WIDTH: Final = 400  # pixels


def draw_segmentation(
    comparisons: Sequence[Comparison], path: Path, *, classes: ClassStyles, source: str, model: str
) -> SheetGrid:
    """Draw image, ground truth and prediction of each image side by side, as a PNG; return where they are in it.

    Args:
        comparisons: At least one.
        path: The picture to write or replace.
        classes: Names and colours of the classes.
        source: Where the images are from, for the title, such as `'87 val images'`.
        model: The name of the model for the title, such as the checkpoint's.
    """
    legend = Legend(classes)
    for item in comparisons:
        legend.add(item.truth)
        legend.add(item.prediction)
    sheet = Sheet(
        plan_grid([item.truth.image for item in comparisons], panels=3, panel_width=PANEL_WIDTH),
        title='Image, ground truth and prediction',
        source=f'{len(comparisons)} of {source}, evenly spaced',
        model=model,
        legend=legend.of_maps(),
    )
    panel = sheet.grid.panel
    for index, item in enumerate(comparisons):
        truth, prediction = (
            draw_annotated(shown, panel, classes, map_opacity=1) for shown in (item.truth, item.prediction)
        )
        accuracy = f'pixel accuracy {item.accuracy:.3f}' if math.isfinite(item.accuracy) else 'no pixel is labelled'
        sheet.put(index, 0, fit(item.truth.image, panel), name=item.truth.name)
        sheet.put(index, 1, truth, name='ground truth')
        sheet.put(index, 2, prediction, name='prediction', note=accuracy)
    sheet.save(path)
    return sheet.grid
