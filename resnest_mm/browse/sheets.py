"""The pictures of a data set: one image large, one image after every step of its pipeline, or many images small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from resnest_mm.annotations.annotated_image import AnnotatedImage
from resnest_mm.browse.pipeline_steps import PipelineStep
from resnest_mm.drawing.annotate import draw_annotated
from resnest_mm.drawing.grid import SheetGrid, fitted_size
from resnest_mm.drawing.legend import Legend
from resnest_mm.drawing.palette import ClassStyles
from resnest_mm.drawing.sheet import Sheet

if TYPE_CHECKING:
    from PIL.Image import Image

SMALLEST, LARGEST = 640, 1280
"""Pixels between which the long side of a single image is enlarged or reduced."""
STEP_WIDTH: Final = 420
STEP_COLUMNS: Final = 4
THUMBNAIL: Final = 320
_GAP: Final = '  '
"""In front of a note, as a name is cut where the note begins."""
_OVERVIEW_WIDTH: Final = 960
_TALLEST: Final = 1.5
"""Largest ratio of a panel's height to its width, so that tall images do not make it huge."""


def describe(shown: AnnotatedImage, *, long: bool = False) -> str:
    """Return size and contents of an image in a few words.

    Args:
        shown: The image.
        long: Whether to write out the unit.
    """
    words = [f'{shown.image.shape[1]} x {shown.image.shape[0]}' + (' pixels' if long else '')]
    if shown.objects is not None:
        words.append(_count(int((~shown.objects.ignored).sum()), 'object'))
    elif shown.label_map is not None:
        found = set(np.unique(shown.label_map).tolist()) - {shown.ignore_index}
        words.append(_count(len(found), 'class', 'classes'))
    return ', '.join(words)


def remarks(shown: AnnotatedImage) -> str:
    """Return how many objects and pixels of an image are ignored or odd; empty where none is.

    Args:
        shown: The image.
    """
    words = []
    if shown.objects is not None:
        counts = {'ignored': int(shown.objects.ignored.sum()), 'without area': int(shown.objects.flat.sum())}
        words += [f'{count} {what}' for what, count in counts.items() if count]
    if shown.label_map is not None:
        share = float((shown.label_map == shown.ignore_index).mean())
        words += [f'{share:.1%} of the pixels ignored'] if share else []
        if shown.label_map.shape != shown.image.shape[:2]:
            words.append(f'labels of {shown.label_map.shape[1]} x {shown.label_map.shape[0]}')
    return ', '.join(words)


def draw_single(shown: AnnotatedImage, path: Path, *, classes: ClassStyles, place: str) -> None:
    """Draw one image with its annotations, as a PNG.

    Args:
        shown: The image.
        path: The picture to write or replace.
        classes: Names and colours of the classes.
        place: Where the image is from, such as `'#3 of train'`.
    """
    height, width = shown.image.shape[:2]
    scale = min(max(SMALLEST / max(height, width), 1), LARGEST / max(height, width))
    panel = max(SMALLEST, round(width * scale)), max(1, round(height * scale))
    legend = Legend(classes)
    legend.add(shown)
    sheet = Sheet(
        SheetGrid(panel, 1, 1, 1), title=describe(shown, long=True), source=place, model='', legend=legend.of_maps()
    )
    sheet.put(0, 0, draw_annotated(shown, panel, classes), name=shown.name, note=_GAP + remarks(shown))
    sheet.save(path)


def draw_steps(
    steps: Sequence[PipelineStep], shown: AnnotatedImage, path: Path, *, classes: ClassStyles, place: str
) -> None:
    """Draw one image after every step of its pipeline, as a PNG.

    Args:
        steps: The steps, at least one.
        shown: The image that the model gets.
        path: The picture to write or replace.
        classes: Names and colours of the classes.
        place: Where the image is from, such as `'#3 of train'`.
    """
    lines = -(-len(steps) // STEP_COLUMNS)
    columns = max(2, -(-len(steps) // lines))
    ratio = max(min(step.output.image.shape[0] / step.output.image.shape[1], _TALLEST) for step in steps)
    panel = STEP_WIDTH, round(STEP_WIDTH * ratio)
    legend = Legend(classes)
    for step in steps:
        legend.add(step.output)
    sheet = Sheet(
        SheetGrid(panel, 1, columns, -(-len(steps) // columns)),
        title=describe(shown, long=True),
        source=f'{place}, {shown.name}' if shown.name else place,
        model='',
        legend=legend.of_maps(),
    )
    before = None
    for index, step in enumerate(steps):
        same = before is not None and step.output.shows_the_same_as(before)
        note = 'as before' if same else describe(step.output)
        picture = draw_annotated(step.output, panel, classes)
        sheet.put(index, 0, picture, name=f'{index + 1} {step.name}', note=_GAP + note)
        before = step.output
    sheet.save(path)


class Overview:
    """The contact sheet; its images are added one by one and kept small.

    Args:
        count: Images that will be added, at least 1.
        classes: Names and colours of the classes.
    """

    def __init__(self, *, count: int, classes: ClassStyles) -> None:
        self._columns = count if count <= STEP_COLUMNS else max(STEP_COLUMNS, math.ceil(math.sqrt(count)))
        self._width = max(THUMBNAIL, _OVERVIEW_WIDTH // self._columns)
        self._classes = classes
        self._panels: list[tuple[Image, str, str]] = []
        self._legend = Legend(classes)

    def add(self, shown: AnnotatedImage) -> None:
        """Add an image.

        Args:
            shown: The image.
        """
        size = fitted_size(shown.image.shape, (self._width, round(self._width * _TALLEST)))
        picture = draw_annotated(shown, size, self._classes, names=False)
        self._panels.append((picture, shown.name, describe(shown)))
        self._legend.add(shown)

    def save(self, path: Path, *, title: str, source: str, model: str) -> None:
        """Write the sheet as a PNG.

        Args:
            path: The picture to write or replace.
            title: What the images are.
            source: Grey words at the right of the title.
            model: Grey words at the right of the legend.
        """
        panel = self._width, max(image.size[1] for image, _, _ in self._panels)
        rows = -(-len(self._panels) // self._columns)
        # The boxes have no names here. Where there are label maps, the legend of the maps names their classes, too.
        legend = self._legend.of_maps() or self._legend.of_boxes()
        grid = SheetGrid(panel, 1, self._columns, rows)
        sheet = Sheet(grid, title=title, source=source, model=model, legend=legend)
        for index, (image, name, note) in enumerate(self._panels):
            sheet.put(index, 0, image, name=name, note=_GAP + note)
        sheet.save(path)


def _count(number: int, one: str, many: str = '') -> str:
    return f'{number} {one if number == 1 else many or one + "s"}'
