"""Captions fit into the width of their panel."""

from __future__ import annotations

from resnest_mm.drawing.sheet import font, shorten


def test_a_long_file_name_keeps_its_end() -> None:
    name = 'frankfurt_000000_000294_leftImg8bit.png'
    assert shorten(name, 1000) == name
    short = shorten(name, 200)
    assert short.startswith('…')
    assert name.endswith(short[1:])
    assert font(15).getlength(short) <= 200 < font(15).getlength('…' + name[-len(short) :])
