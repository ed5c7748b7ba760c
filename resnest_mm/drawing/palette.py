"""Colours that stay apart for readers with any colour vision."""

from __future__ import annotations

from typing import Final

# Okabe and Ito's set without its yellow, which fades on white, then darker and lighter mixes for more classes.
COLOURS: Final = (
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


def class_colour(label: int) -> tuple[int, int, int]:
    """Return the RGB colour of a class, 0 to 255 each; classes beyond the tenth share them in turn.

    Args:
        label: Index of the class, at least 0.
    """
    return COLOURS[label % len(COLOURS)]


def ink_on(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return black or white, whichever reads better on a colour.

    Args:
        colour: RGB, 0 to 255 each.
    """
    red, green, blue = colour
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else (255, 255, 255)
