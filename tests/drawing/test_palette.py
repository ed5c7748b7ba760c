"""Colours of classes differ, and names on them are readable."""

from __future__ import annotations

from resnest_mm.drawing.palette import COLOURS, class_colour, ink_on


def test_colours_differ_and_repeat() -> None:
    assert len(set(COLOURS)) == len(COLOURS)
    assert class_colour(len(COLOURS)) == class_colour(0)
    assert ink_on((255, 255, 255)) == (0, 0, 0)
    assert ink_on((0, 0, 0)) == (255, 255, 255)
