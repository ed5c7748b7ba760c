"""Pixels of the picture have the colours of their classes, at the place where the image has them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from resnest_mm.annotations.annotated_image import AnnotatedImage
from resnest_mm.drawing.grid import CAPTION, LEGEND_LINE, MARGIN, PANEL_GAP, SheetGrid
from resnest_mm.drawing.hand_drawn import HATCH
from resnest_mm.drawing.palette import ClassStyles
from resnest_mm.drawing.sheet import font
from resnest_mm.report.figures.segmentation import PANEL_WIDTH, draw_segmentation
from resnest_mm.report.predictions.comparison import Comparison

NAMES = ('ground', 'disc', 'bar', 'ring')
PALETTE = ((10, 20, 30), (250, 0, 0), (0, 240, 0), (255, 255, 255))
Pixels = npt.NDArray[np.uint8]


def sample(
    truth: npt.NDArray[np.int16], prediction: npt.NDArray[np.int16] | None = None, *, accuracy: float = 0.5
) -> Comparison:
    image = np.full((*truth.shape, 3), (90, 120, 150), np.uint8)
    maps = (truth, truth if prediction is None else prediction)
    return Comparison(*(AnnotatedImage(image, 'image.png', None, labels) for labels in maps), accuracy=accuracy)


def draw(samples: list[Comparison], path: Path, *, names: tuple[str, ...] = NAMES) -> tuple[Pixels, SheetGrid]:
    palette = [*PALETTE, *((index, 0, 200) for index in range(len(names) - len(PALETTE)))]
    grid = draw_segmentation(
        samples, path, classes=ClassStyles(names, palette), source='9 val images', model='tiny.pth'
    )
    with Image.open(path) as picture:
        assert picture.format == 'PNG'
        assert picture.size == grid.size
        return np.asarray(picture), grid


def panel(pixels: Pixels, grid: SheetGrid, index: int, number: int) -> Pixels:
    x, y = grid.corner(index, number)
    return pixels[y : y + grid.panel[1], x : x + grid.panel[0]]


def colours(pixels: Pixels) -> set[tuple[int, ...]]:
    return {tuple(int(value) for value in colour) for colour in np.unique(pixels.reshape(-1, 3), axis=0)}


def test_every_pixel_has_the_colour_of_its_class(tmp_path: Path) -> None:
    """A panel is 8 times as large as this image, and nothing but the palette is in a map."""
    rng = np.random.default_rng(0)
    truth, prediction = (rng.integers(0, 3, (30, 50)).astype(np.int16) for _ in range(2))
    pixels, grid = draw([sample(truth, prediction)], tmp_path / 'segmentation.png')
    assert grid.panel == (PANEL_WIDTH, 240) == (400, 240)
    assert colours(panel(pixels, grid, 0, 0)) == {(90, 120, 150)}
    for number, labels in ((1, truth), (2, prediction)):
        shown = panel(pixels, grid, 0, number)
        for row in range(30):
            for column in range(50):
                block = shown[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
                assert colours(block) == {PALETTE[labels[row, column]]}


def test_where_panels_are(tmp_path: Path) -> None:
    pixels, grid = draw([sample(np.full((20, 40), index % 4, np.int16)) for index in range(5)], tmp_path / 'a.png')
    assert (grid.panel, grid.columns, grid.rows) == ((400, 200), 2, 3)
    x, y = grid.corner(3, 2)
    assert x == MARGIN + (3 * 400 + 2 * PANEL_GAP) + MARGIN + 2 * (400 + PANEL_GAP)
    assert y == grid.header + (CAPTION + 200 + MARGIN) + CAPTION
    for index in range(5):
        assert colours(panel(pixels, grid, index, 2)) == {PALETTE[index % 4]}


def test_ignored_pixels_are_hatched_in_the_truth_alone(tmp_path: Path) -> None:
    truth = np.full((20, 40), 1, np.int16)
    truth[:10] = 255
    pixels, grid = draw([sample(truth, np.full((20, 40), 2, np.int16))], tmp_path / 'segmentation.png')
    upper, lower = np.split(panel(pixels, grid, 0, 1), 2)
    assert colours(upper) == set(HATCH)
    lines = (upper == HATCH[1]).all(-1).mean()
    assert lines == pytest.approx(1 / 3, abs=0.02), 'a third of it is lines'
    assert colours(lower) == {PALETTE[1]}
    assert colours(panel(pixels, grid, 0, 2)) == {PALETTE[2]}


def test_a_large_map_shrinks_without_mixing_colours(tmp_path: Path) -> None:
    truth = np.zeros((500, 1000), np.int16)
    truth[:, 500:] = 1
    pixels, grid = draw([sample(truth)], tmp_path / 'segmentation.png')
    assert grid.panel == (400, 200)
    left, right = np.split(panel(pixels, grid, 0, 1), 2, axis=1)
    assert (colours(left), colours(right)) == ({PALETTE[0]}, {PALETTE[1]})


def test_a_map_of_another_shape_is_centred(tmp_path: Path) -> None:
    """A tall image beside two wide ones is 50 pixels wide in the middle of its panel."""
    wide, tall = sample(np.ones((20, 40), np.int16)), sample(np.full((80, 20), 2, np.int16))
    pixels, grid = draw([wide, tall, wide], tmp_path / 'segmentation.png')
    shown = panel(pixels, grid, 1, 1)
    assert colours(shown[:, 175:225]) == {PALETTE[2]}
    assert colours(shown[:, :175]) == colours(shown[:, 225:]) == {(235, 235, 235)}


def legend_entry(pixels: Pixels, x: int, line: int) -> Pixels:
    top = 66 + line * LEGEND_LINE
    return pixels[top : top + 18, x : x + 18]


def test_legend_names_what_is_shown(tmp_path: Path) -> None:
    """Class 2 is nowhere and not in it; the hatch comes last; a frame keeps white visible on white."""
    truth = np.array([[0, 3], [3, 255]], np.int16)
    pixels, grid = draw([sample(truth, np.array([[0, 1], [1, 1]], np.int16))], tmp_path / 'segmentation.png')
    assert grid.legend_lines == 1
    x = MARGIN
    for name, expected in (
        ('ground', {PALETTE[0]}),
        ('disc', {PALETTE[1]}),
        ('ring', {PALETTE[3]}),
        (None, set(HATCH)),
    ):
        square = legend_entry(pixels, x, 0)
        assert colours(square[1:-1, 1:-1]) == expected
        assert colours(square[[0, -1]]) == colours(square[:, [0, -1]]) == {(130, 130, 130)}
        if name is not None:
            words = pixels[66:84, x + 26 : x + 26 + round(font(17).getlength(name))]
            assert words.min() < 100, 'the name stands beside its colour'
            x += 26 + round(font(17).getlength(name)) + 28


def test_a_long_legend_breaks_and_moves_everything_down(tmp_path: Path) -> None:
    names = (*NAMES, *(f'class with a long name {index}' for index in range(20)))
    truth = np.arange(24, dtype=np.int16).reshape(4, 6)
    pixels, grid = draw([sample(truth)], tmp_path / 'segmentation.png', names=names)
    assert grid.legend_lines >= 5
    assert grid.corner(0, 1)[1] == 104 + (grid.legend_lines - 1) * LEGEND_LINE + CAPTION
    for line in range(grid.legend_lines):
        first = legend_entry(pixels, MARGIN, line)
        assert len(colours(first[1:-1, 1:-1])) == 1
        assert (255, 255, 255) not in colours(first[1:-1, 1:-1]), 'every line begins at the left'
    assert colours(panel(pixels, grid, 0, 1)) == {*PALETTE, *((index, 0, 200) for index in range(20))}


def test_captions_name_the_pixel_accuracy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL.ImageDraw import ImageDraw

    written: list[str] = []
    original = ImageDraw.text

    def text(self: ImageDraw, place: tuple[float, float], words: str, **options: object) -> None:
        written.append(words)
        original(self, place, words, **options)

    monkeypatch.setattr(ImageDraw, 'text', text)
    truth = np.ones((4, 8), np.int16)
    nothing = np.full((4, 8), 255, np.int16)
    draw([sample(truth, accuracy=0.93751), sample(nothing, truth, accuracy=math.nan)], tmp_path / 'segmentation.png')
    assert [words for words in written if 'pixel' in words] == ['pixel accuracy 0.938', 'no pixel is labelled']
    assert written.count('image.png') == written.count('ground truth') == written.count('prediction') == 2
    assert {'disc', 'ignored', '2 of 9 val images, evenly spaced', 'tiny.pth'} <= set(written)
    assert not {'ground', 'bar', 'ring'} & set(written)
