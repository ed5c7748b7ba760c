"""The legend of a sheet: names and colours of the classes that its images show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from resnest_mm.annotations.annotated_image import AnnotatedImage, Pixels
from resnest_mm.drawing.hand_drawn import hatch
from resnest_mm.drawing.palette import ClassStyles, Colour

SWATCH: Final = 18  # pixels; the side of a square
_FRAME: Final = 130  # grey; it keeps a white square visible on white

Entries = Sequence[tuple[str, Pixels]]
"""Names and their squares of `SWATCH` pixels."""


class Legend:
    """Collects the classes of images.

    Args:
        classes: Names and colours of the classes.
    """

    def __init__(self, classes: ClassStyles) -> None:
        self._classes = classes
        self._in_maps: set[int] = set()
        self._in_boxes: set[int] = set()
        self._hatched = False

    def add(self, shown: AnnotatedImage) -> None:
        """Add the classes of an image; ignored objects have none.

        Args:
            shown: The image.
        """
        if shown.label_map is not None:
            labels = {int(label) for label in np.unique(shown.label_map)}
            self._hatched |= shown.ignore_index in labels
            self._in_maps |= labels - {shown.ignore_index}
        if shown.objects is not None:
            self._in_boxes |= {int(label) for label in shown.objects.labels[~shown.objects.ignored]}

    def of_maps(self) -> Entries:
        """Return the entries of the label maps: their classes, and the hatch where a pixel is ignored."""
        entries = [
            (self._classes.map_name(label), _swatch(self._classes.colour(label))) for label in sorted(self._in_maps)
        ]
        return [*entries, ('ignored', _framed(hatch(SWATCH, SWATCH)))] if self._hatched else entries

    def of_boxes(self) -> Entries:
        """Return the entries of the objects."""
        return [(self._classes.name(label), _swatch(self._classes.colour(label))) for label in sorted(self._in_boxes)]


def _swatch(colour: Colour) -> Pixels:
    return _framed(np.full((SWATCH, SWATCH, 3), colour, dtype=np.uint8))


def _framed(square: Pixels) -> Pixels:
    square[[0, -1]] = _FRAME
    square[:, [0, -1]] = _FRAME
    return square
