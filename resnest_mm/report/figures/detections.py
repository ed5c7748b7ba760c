"""The picture of a detector's predictions: each image with its ground truth and with the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from resnest_mm.drawing.annotate import draw_annotated
from resnest_mm.drawing.grid import SheetGrid, plan_grid
from resnest_mm.drawing.legend import Legend
from resnest_mm.drawing.palette import ClassStyles
from resnest_mm.drawing.sheet import Sheet
from resnest_mm.report.predictions.comparison import Comparison

PANEL_WIDTH: Final = 480  # pixels


def draw_detections(
    comparisons: Sequence[Comparison],
    path: Path,
    *,
    class_names: Sequence[str],
    score_threshold: float | None,
    source: str,
    model: str,
) -> SheetGrid:
    """Draw ground truth and prediction of each image side by side, as a PNG; return where they are in it.

    Args:
        comparisons: At least one; predictions below the threshold are already left out.
        path: The picture to write or replace.
        class_names: Names by label.
        score_threshold: The threshold for the title; None for panoptic segments, which have no scores.
        source: Where the images are from, for the title, such as `'87 val images'`.
        model: The name of the model for the title, such as the checkpoint's.
    """
    classes = ClassStyles(class_names)
    legend = Legend(classes)
    for item in comparisons:
        legend.add(item.truth)
        legend.add(item.prediction)
    above = '' if score_threshold is None else f' with score ≥ {score_threshold:g}'
    sheet = Sheet(
        plan_grid([item.truth.image for item in comparisons], panels=2, panel_width=PANEL_WIDTH),
        title=f'Ground truth (left) and predictions{above} (right)',
        source=f'{len(comparisons)} of {source}, evenly spaced',
        model=model,
        legend=legend.of_maps() or legend.of_boxes(),
    )
    for index, item in enumerate(comparisons):
        for panel, (shown, word) in enumerate(((item.truth, 'annotated'), (item.prediction, 'predicted'))):
            count = 0 if shown.objects is None else len(shown.objects.labels)
            picture = draw_annotated(shown, sheet.grid.panel, classes)
            sheet.put(index, panel, picture, name='' if panel else shown.name, note=f'{count} {word}')
    sheet.save(path)
    return sheet.grid
