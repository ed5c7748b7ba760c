"""The picture of a detector's answers: each image twice, with the boxes it should and the boxes it did find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from resnest_mm.analysis.palette import class_colour, ink_on
from resnest_mm.analysis.samples import Boxes, Sample
from resnest_mm.replacing import replacing

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

PANEL_WIDTH: Final = 480  # pixels; every image is scaled to this width or to the panel's height
MARGIN: Final = 24
PANEL_GAP: Final = 6
HEADER: Final = 104
CAPTION: Final = 30
LINE: Final = 3
_INK: Final = (30, 30, 30)
_GREY: Final = (110, 110, 110)


@dataclass(frozen=True)
class Layout:
    """Where everything is in the picture, in its pixels.

    Args:
        panel_height: Height of every panel; the width is `PANEL_WIDTH`.
        columns: Pairs side by side.
        rows: Pairs below each other.
    """

    panel_height: int
    columns: int
    rows: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        pair = 2 * PANEL_WIDTH + PANEL_GAP + MARGIN
        return MARGIN + self.columns * pair, HEADER + self.rows * (CAPTION + self.panel_height + MARGIN)

    def corner(self, index: int, *, prediction: bool) -> tuple[int, int]:
        """Return the left top corner of a panel.

        Args:
            index: Number of the sample, from 0.
            prediction: The right panel of the pair instead of the left one.
        """
        row, column = divmod(index, self.columns)
        left = MARGIN + column * (2 * PANEL_WIDTH + PANEL_GAP + MARGIN)
        top = HEADER + row * (CAPTION + self.panel_height + MARGIN) + CAPTION
        return left + (PANEL_WIDTH + PANEL_GAP if prediction else 0), top


def plan_layout(samples: Sequence[Sample]) -> Layout:
    """Return a layout whose panels have the median shape of the images.

    Args:
        samples: At least one.
    """
    ratio = float(np.median([sample.image.shape[0] / sample.image.shape[1] for sample in samples]))
    columns = 1 if len(samples) == 1 else 2
    return Layout(round(PANEL_WIDTH * min(max(ratio, 0.4), 1.5)), columns, -(-len(samples) // columns))


def draw_detections(
    samples: Sequence[Sample],
    path: Path,
    *,
    class_names: Sequence[str],
    score_threshold: float,
    source: str,
    model: str,
) -> None:
    """Draw ground truth and prediction of each sample side by side, as a PNG of `plan_layout(samples).size` pixels.

    Args:
        samples: At least one; predictions below the threshold are already left out.
        path: The picture to write or replace.
        class_names: Names by label.
        score_threshold: The threshold that was applied, for the title.
        source: Where the images are from, for the title, such as `'87 val images'`.
        model: What predicted, for the title, such as the checkpoint's name.
    """
    from PIL import Image, ImageDraw

    layout = plan_layout(samples)
    picture = Image.new('RGB', layout.size, 'white')
    draw = ImageDraw.Draw(picture)
    title = f'Ground truth (left) and predictions with score ≥ {score_threshold:g} (right)'
    spread = f'{len(samples)} of {source}, evenly spaced'
    draw.text((MARGIN, 20), title, font=_font(24, bold=True), fill=_INK)
    draw.text((layout.size[0] - MARGIN, 24), spread, font=_font(18), fill=_GREY, anchor='ra')
    draw.text((layout.size[0] - MARGIN, 81), model, font=_font(18), fill=_GREY, anchor='rs')
    _draw_legend(draw, samples, class_names)
    for index, sample in enumerate(samples):
        for prediction, boxes in enumerate((sample.truth, sample.prediction)):
            left, top = layout.corner(index, prediction=bool(prediction))
            panel = _panel(sample.image, boxes, class_names, (PANEL_WIDTH, layout.panel_height))
            picture.paste(Image.fromarray(panel), (left, top))
            count = f'{len(boxes.labels)} {"predicted" if prediction else "annotated"}'
            draw.text((left + PANEL_WIDTH, top - 8), count, font=_font(15), fill=_GREY, anchor='rs')
        left, top = layout.corner(index, prediction=False)
        draw.text((left, top - 8), sample.name, font=_font(15), fill=_INK, anchor='ls')
    with replacing(path) as temporary:
        picture.save(temporary, format='png')


def _panel(
    image: npt.NDArray[np.uint8], boxes: Boxes, class_names: Sequence[str], size: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Return an image with boxes, centred in a panel of width x height pixels."""
    from PIL import Image, ImageDraw

    height, width = image.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    fitted = Image.fromarray(image).resize(
        (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.LANCZOS
    )
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
    panel = Image.new('RGB', size, (235, 235, 235))
    panel.paste(fitted, ((size[0] - fitted.size[0]) // 2, (size[1] - fitted.size[1]) // 2))
    return np.asarray(panel)


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
    font = _font(12)
    _, _, width, _ = draw.textbbox((0, 0), text, font=font)
    tag_width, tag_height = round(width) + 6, 16
    left = max(0, min(corners[0], size[0] - tag_width))
    top = corners[1] - tag_height + 1 if corners[1] >= tag_height else corners[1]
    draw.rectangle((left, top, left + tag_width - 1, top + tag_height - 1), fill=colour)
    draw.text((left + 3, top + 12), text, font=font, fill=ink_on(colour), anchor='ls')


def _draw_legend(draw: ImageDraw, samples: Sequence[Sample], class_names: Sequence[str]) -> None:
    shown = sorted(
        {int(label) for item in samples for boxes in (item.truth, item.prediction) for label in boxes.labels}
    )
    x = MARGIN
    for label in shown:
        draw.rectangle((x, 66, x + 17, 83), fill=class_colour(label))
        draw.text((x + 26, 81), class_names[label], font=_font(17), fill=_INK, anchor='ls')
        x += 26 + round(draw.textlength(class_names[label], font=_font(17))) + 28


def _font(size: int, *, bold: bool = False) -> FreeTypeFont:
    from matplotlib.font_manager import FontProperties, findfont
    from PIL import ImageFont

    properties = FontProperties(family='DejaVu Sans', weight='bold' if bold else 'normal')
    return ImageFont.truetype(findfont(properties), size)
