"""Names and colours of classes; the colours stay apart for readers with any colour vision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from resnest_mm.errors import printable

Colour = tuple[int, int, int]

# Okabe and Ito's set without its yellow, which fades on white, then darker and lighter mixes for more classes.
COLOURS: Final[tuple[Colour, ...]] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (213, 94, 0),
    (86, 180, 233),
    (96, 60, 150),
    (128, 128, 0),
    (0, 70, 60),
    (140, 30, 40),
)


def class_colour(label: int) -> Colour:
    """Return the RGB colour of a class, 0 to 255 each; after ten classes the colours repeat.

    Args:
        label: Index of the class, at least 0.
    """
    return COLOURS[label % len(COLOURS)]


def ink_on(colour: Colour) -> Colour:
    """Return black or white, whichever reads better on a colour.

    Args:
        colour: RGB, 0 to 255 each.
    """
    red, green, blue = colour
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else (255, 255, 255)


@dataclass(frozen=True)
class ClassStyles:
    """Names and colours of the classes of a data set.

    Args:
        names: Names by label.
        palette: RGB colours by label, 0 to 255; labels after its end get the colours of `class_colour`.
        maps_share_names: Whether the labels of a label map are those of the boxes, so that they have the same names.
    """

    names: Sequence[str]
    palette: Sequence[Colour] = ()
    maps_share_names: bool = True

    def name(self, label: int) -> str:
        """Return the name of an object's class.

        Args:
            label: Index of the class; one that is no class gets a name that says so.
        """
        return printable(self.names[label]) if 0 <= label < len(self.names) else f'{label}, no such class'

    def map_name(self, label: int) -> str:
        """Return the name of a class in a label map.

        Args:
            label: A label of the map.
        """
        return self.name(label) if self.maps_share_names else f'label {label}'

    def colour(self, label: int) -> Colour:
        """Return the RGB colour of a class, 0 to 255 each.

        Args:
            label: Index of the class; one that is no class has a colour, too.
        """
        return self.palette[label] if 0 <= label < len(self.palette) else class_colour(abs(label))
