"""Boxes are drawn at their place, in the colour of their class, in the right panel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from resnest_mm.annotations.annotated_image import AnnotatedImage, ImageObjects
from resnest_mm.drawing.grid import SheetGrid
from resnest_mm.drawing.palette import class_colour
from resnest_mm.report.figures.detections import PANEL_WIDTH, draw_detections
from resnest_mm.report.predictions.comparison import Comparison

NAMES = ('disc', 'bar', 'ring')


def boxes(*rows: tuple[float, float, float, float, int], scores: list[float] | None = None) -> ImageObjects:
    table = np.array(rows, dtype=np.float32).reshape(-1, 5)
    ignored = np.zeros(len(table), dtype=np.bool_)
    return ImageObjects(
        table[:, :4],
        table[:, 4].astype(np.int64),
        ignored,
        scores=None if scores is None else np.array(scores, dtype=np.float32),
    )


def sample(truth: ImageObjects, prediction: ImageObjects, *, height: int = 120, width: int = 240) -> Comparison:
    image = np.full((height, width, 3), 200, np.uint8)
    return Comparison(*(AnnotatedImage(image, 'image.jpg', objects) for objects in (truth, prediction)))


def draw(samples: list[Comparison], path: Path) -> tuple[npt.NDArray[np.uint8], SheetGrid]:
    grid = draw_detections(
        samples, path, class_names=NAMES, score_threshold=0.5, source='9 val images', model='tiny, iter_9.pth'
    )
    with Image.open(path) as picture:
        assert picture.format == 'PNG'
        assert picture.size == grid.size
        return np.asarray(picture), grid


def test_edges_have_the_class_colour(tmp_path: Path) -> None:
    """A panel is twice as wide as this image: box coordinates double."""
    one = sample(boxes((20, 40, 60, 90, 0)), boxes((100, 30, 180, 110, 1), scores=[0.75]))
    pixels, grid = draw([one], tmp_path / 'detections.png')
    assert grid.panel == (480, 240)
    for panel_index, (left, top, right, bottom), label in (
        (0, (20, 40, 60, 90), 0),
        (1, (100, 30, 180, 110), 1),
    ):
        x, y = grid.corner(0, panel_index)
        panel = pixels[y : y + 240, x : x + PANEL_WIDTH]
        colour = class_colour(label)
        middle_x, middle_y = left + right, top + bottom
        for edge in ((middle_y, 2 * left), (middle_y, 2 * right), (2 * bottom, middle_x)):
            assert tuple(panel[edge]) == colour
        for inside in ((middle_y, 2 * left + 6), (middle_y, 2 * right - 6), (2 * bottom - 6, middle_x)):
            assert tuple(panel[inside]) == (200, 200, 200)
        other = class_colour(1 - label)
        assert not (panel == other).all(-1).any(), 'no box of the other panel'


def test_image_of_another_shape_is_centred(tmp_path: Path) -> None:
    """A tall image beside two wide ones shrinks to the panel's height; its box shrinks and moves with it."""
    wide = sample(boxes(), boxes(scores=[]))
    tall = sample(boxes(), boxes((0, 240, 120, 470, 2), scores=[0.9]), height=480, width=240)
    samples = [wide, tall, wide]
    pixels, grid = draw(samples, tmp_path / 'detections.png')
    x, y = grid.corner(1, 1)
    panel = pixels[y : y + grid.panel[1], x : x + PANEL_WIDTH]
    assert tuple(panel[180, 180]) == class_colour(2), 'left edge at (480 - 120) / 2'
    assert tuple(panel[180, 240]) == class_colour(2), 'right edge at 180 + 120 / 2'
    assert tuple(panel[235, 210]) == class_colour(2), 'bottom edge at 470 / 2'
    assert tuple(panel[180, 170]) != class_colour(2)


def test_boxes_outside_and_boxes_without_area_are_drawn(tmp_path: Path) -> None:
    strange = boxes((-50, 10, 20, 500, 0), (100, 60, 100, 60, 1), (300, 300, 400, 400, 2), scores=[0.9, 0.8, 0.7])
    one = sample(boxes(), strange)
    pixels, grid = draw([one], tmp_path / 'detections.png')
    x, y = grid.corner(0, 1)
    assert tuple(pixels[y + 120, x]) == class_colour(0)
    assert tuple(pixels[y + 239, x + 479]) == class_colour(2)


@pytest.mark.parametrize(('count', 'columns', 'rows'), [(1, 1, 1), (2, 2, 1), (5, 2, 3), (12, 2, 6)])
def test_grid(tmp_path: Path, count: int, columns: int, rows: int) -> None:
    samples = [sample(boxes((20, 40, 60, 90, 0)), boxes(scores=[]))] * count
    pixels, grid = draw(samples, tmp_path / 'detections.png')
    assert (grid.columns, grid.rows) == (columns, rows)
    x, y = grid.corner(count - 1, 0)
    assert tuple(pixels[y + 130, x + 40]) == class_colour(0), 'the last sample is there'
    assert pixels.std() > 5
