"""The pictures of a data set: one image large, one image behind every step of its pipeline, or many images small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from resnest_mm.browse.canvas import ClassBook, paint
from resnest_mm.browse.samples import Fed
from resnest_mm.browse.stages import Stage
from resnest_mm.drawing.panels import Layout, Pixels, fitted_size
from resnest_mm.drawing.sheet import SWATCH, Sheet, swatch
from resnest_mm.report.segmentation import hatch

if TYPE_CHECKING:
    from PIL.Image import Image

SMALLEST, LARGEST = 640, 1280
"""Pixels between which the long side of a single image is enlarged or reduced."""
STAGE_WIDTH: Final = 420
STAGE_COLUMNS: Final = 4
THUMBNAIL: Final = 320
_GAP: Final = '  '
"""In front of a note, as a name that is cut ends where the note begins."""
_OVERVIEW_WIDTH: Final = 960
_TALLEST: Final = 1.5
"""Height of a panel by its width at most, so that tall images do not make it huge."""


def describe(fed: Fed, *, long: bool = False) -> str:
    """Return size and contents of an image in a few words.

    Args:
        fed: The image.
        long: Whether to write out the unit.
    """
    words = [f'{fed.image.shape[1]} x {fed.image.shape[0]}' + (' pixels' if long else '')]
    if fed.objects is not None:
        words.append(_count(int((~fed.objects.ignored).sum()), 'object'))
    elif fed.label_map is not None:
        found = set(np.unique(fed.label_map).tolist()) - {fed.ignore_index}
        words.append(_count(len(found), 'class', 'classes'))
    return ', '.join(words)


def remarks(fed: Fed) -> str:
    """Return what is special about an image in a few words; empty where nothing is."""
    words = []
    if fed.objects is not None:
        counts = {'ignored': int(fed.objects.ignored.sum()), 'without area': int(fed.objects.flat.sum())}
        words += [f'{count} {what}' for what, count in counts.items() if count]
    if fed.label_map is not None:
        share = float((fed.label_map == fed.ignore_index).mean())
        words += [f'{share:.1%} of the pixels ignored'] if share else []
        if fed.label_map.shape != fed.image.shape[:2]:
            words.append(f'labels of {fed.label_map.shape[1]} x {fed.label_map.shape[0]}')
    return ', '.join(words)


def draw_single(fed: Fed, path: Path, *, book: ClassBook, place: str) -> None:
    """Draw one image with all that comes with it, as a PNG.

    Args:
        fed: The image.
        path: The picture to write or replace.
        book: The classes.
        place: Where the image is from, such as `'#3 of train'`.
    """
    height, width = fed.image.shape[:2]
    scale = min(max(SMALLEST / max(height, width), 1), LARGEST / max(height, width))
    panel = max(SMALLEST, round(width * scale)), max(1, round(height * scale))
    legend = _Legend(book)
    legend.add(fed)
    sheet = Sheet(
        Layout(panel, 1, 1, 1), title=describe(fed, long=True), source=place, model='', legend=legend.of_maps()
    )
    sheet.put(0, 0, paint(fed, panel, book), name=fed.name, note=_GAP + remarks(fed))
    sheet.save(path)


def draw_stages(stages: Sequence[Stage], fed: Fed, path: Path, *, book: ClassBook, place: str) -> None:
    """Draw one image behind every step of its pipeline, as a PNG.

    Args:
        stages: The steps, at least one.
        fed: What the model gets.
        path: The picture to write or replace.
        book: The classes.
        place: Where the image is from, such as `'#3 of train'`.
    """
    lines = -(-len(stages) // STAGE_COLUMNS)
    columns = max(2, -(-len(stages) // lines))
    ratio = max(min(stage.fed.image.shape[0] / stage.fed.image.shape[1], _TALLEST) for stage in stages)
    panel = STAGE_WIDTH, round(STAGE_WIDTH * ratio)
    legend = _Legend(book)
    for stage in stages:
        legend.add(stage.fed)
    sheet = Sheet(
        Layout(panel, 1, columns, -(-len(stages) // columns)),
        title=describe(fed, long=True),
        source=f'{place}, {fed.name}' if fed.name else place,
        model='',
        legend=legend.of_maps(),
    )
    before = None
    for index, stage in enumerate(stages):
        same = before is not None and stage.fed.shows_the_same_as(before)
        note = 'as before' if same else describe(stage.fed)
        sheet.put(index, 0, paint(stage.fed, panel, book), name=f'{index + 1} {stage.step}', note=_GAP + note)
        before = stage.fed
    sheet.save(path)


class Overview:
    """The contact sheet, for which images are collected one by one and kept small.

    Args:
        count: Images that will be added, at least 1.
        book: The classes.
    """

    def __init__(self, *, count: int, book: ClassBook) -> None:
        self._columns = count if count <= STAGE_COLUMNS else max(STAGE_COLUMNS, math.ceil(math.sqrt(count)))
        self._width = max(THUMBNAIL, _OVERVIEW_WIDTH // self._columns)
        self._book = book
        self._panels: list[tuple[Image, str, str]] = []
        self._legend = _Legend(book)

    def add(self, fed: Fed) -> None:
        """Add an image.

        Args:
            fed: The image.
        """
        width, height = fitted_size(fed.image.shape, (self._width, round(self._width * _TALLEST)))
        self._panels.append((paint(fed, (width, height), self._book, tags=False), fed.name, describe(fed)))
        self._legend.add(fed)

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
        # The boxes have no names here; beside maps their classes are in the maps as well.
        legend = self._legend.of_maps() or self._legend.of_boxes()
        sheet = Sheet(Layout(panel, 1, self._columns, rows), title=title, source=source, model=model, legend=legend)
        for index, (image, name, note) in enumerate(self._panels):
            sheet.put(index, 0, image, name=name, note=_GAP + note)
        sheet.save(path)


@dataclass
class _Legend:
    """What the colours of the images mean."""

    book: ClassBook
    maps: set[int] = field(default_factory=set)
    boxes: set[int] = field(default_factory=set)
    hatched: bool = False

    def add(self, fed: Fed) -> None:
        if fed.label_map is not None:
            labels = {int(label) for label in np.unique(fed.label_map)}
            self.hatched |= fed.ignore_index in labels
            self.maps |= labels - {fed.ignore_index}
        if fed.objects is not None:
            self.boxes |= {int(label) for label in fed.objects.labels[~fed.objects.ignored]}

    def of_maps(self) -> list[tuple[str, Pixels]]:
        entries = [(self.book.map_name(label), swatch(self.book.colour(label))) for label in sorted(self.maps)]
        return [*entries, ('ignored', hatch(SWATCH, SWATCH))] if self.hatched else entries

    def of_boxes(self) -> list[tuple[str, Pixels]]:
        return [(self.book.name(label), swatch(self.book.colour(label))) for label in sorted(self.boxes)]


def _count(number: int, one: str, many: str = '') -> str:
    return f'{number} {one if number == 1 else many or one + "s"}'
