"""The picture of a detector's answers: each image twice, with the boxes it should and the boxes it did find."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from resnest_mm.drawing.palette import class_colour, ink_on
from resnest_mm.drawing.panels import Layout, plan_layout, scale_to_fit
from resnest_mm.drawing.sheet import Sheet, fit, font, swatch
from resnest_mm.report.samples import Boxes, Sample

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

PANEL_WIDTH: Final = 480  # pixels; every image is scaled to this width or to the panel's height
LINE: Final = 3


def draw_detections(
    samples: Sequence[Sample],
    path: Path,
    *,
    class_names: Sequence[str],
    score_threshold: float,
    source: str,
    model: str,
) -> Layout:
    """Draw ground truth and prediction of each sample side by side, as a PNG; return where they are in it.

    Args:
        samples: At least one; predictions below the threshold are already left out.
        path: The picture to write or replace.
        class_names: Names by label.
        score_threshold: The threshold that was applied, for the title.
        source: Where the images are from, for the title, such as `'87 val images'`.
        model: What predicted, for the title, such as the checkpoint's name.
    """
    shown = sorted(
        {int(label) for item in samples for boxes in (item.truth, item.prediction) for label in boxes.labels}
    )
    sheet = Sheet(
        plan_layout([item.image for item in samples], panels=2, panel_width=PANEL_WIDTH),
        title=f'Ground truth (left) and predictions with score ≥ {score_threshold:g} (right)',
        source=f'{len(samples)} of {source}, evenly spaced',
        model=model,
        legend=[(class_names[label], swatch(class_colour(label))) for label in shown],
    )
    panel = sheet.layout.panel
    for index, item in enumerate(samples):
        truth, prediction = (
            _draw_boxes(item.image, boxes, class_names, panel) for boxes in (item.truth, item.prediction)
        )
        sheet.put(index, 0, truth, name=item.name, note=f'{len(item.truth.labels)} annotated')
        sheet.put(index, 1, prediction, note=f'{len(item.prediction.labels)} predicted')
    sheet.save(path)
    return sheet.layout


def _draw_boxes(
    image: npt.NDArray[np.uint8], boxes: Boxes, class_names: Sequence[str], panel: tuple[int, int]
) -> Image:
    """Return an image with boxes, scaled to fit into a panel of width x height pixels."""
    from PIL import ImageDraw

    scale = scale_to_fit(image.shape, panel)
    fitted = fit(image, panel)
    draw = ImageDraw.Draw(fitted)
    areas = np.prod(np.maximum(boxes.corners[:, 2:] - boxes.corners[:, :2], 0), axis=1)
    order = [int(index) for index in np.argsort(-areas, kind='stable')]
    corners = [_on_canvas(boxes.corners[index] * scale, fitted.size) for index in range(len(boxes.labels))]
    for index in order:
        left, top, right, bottom = corners[index]
        # A white rim keeps a box visible on an object of its own colour.
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline='white', width=LINE + 2)
        draw.rectangle(corners[index], outline=class_colour(int(boxes.labels[index])), width=LINE)
    for index in order:
        label = int(boxes.labels[index])
        score = '' if boxes.scores is None else f' {boxes.scores[index]:.2f}'
        _tag(draw, corners[index], f'{class_names[label]}{score}', class_colour(label), fitted.size)
    return fitted


def _on_canvas(corners: npt.NDArray[np.float32], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return corners as whole pixels inside the image, in order, so that a flat box still draws."""
    left, top = (min(max(round(float(corners[axis])), 0), size[axis] - 1) for axis in (0, 1))
    right, bottom = (min(max(round(float(corners[axis + 2])), 0), size[axis] - 1) for axis in (0, 1))
    return left, top, max(left, right), max(top, bottom)


def _tag(
    draw: ImageDraw,
    corners: tuple[int, int, int, int],
    text: str,
    colour: tuple[int, int, int],
    size: tuple[int, int],
) -> None:
    """Write a name on its colour, above the box, or inside at its top where the image ends."""
    small = font(12)
    _, _, width, _ = draw.textbbox((0, 0), text, font=small)
    tag_width, tag_height = round(width) + 6, 16
    left = max(0, min(corners[0], size[0] - tag_width))
    top = corners[1] - tag_height + 1 if corners[1] >= tag_height else corners[1]
    draw.rectangle((left, top, left + tag_width - 1, top + tag_height - 1), fill=colour)
    draw.text((left + 3, top + 12), text, font=small, fill=ink_on(colour), anchor='ls')
