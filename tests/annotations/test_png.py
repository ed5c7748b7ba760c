"""Damage of PNG files is found by their checksums, also where Pillow gives wrong pixels without an error."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from resnest_mm.annotations.png import find_png_damage

PIXELS = np.random.default_rng(0).integers(0, 11, (40, 60), np.uint8)


def encoded() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, 'PNG')
    return stream.getvalue()


def test_a_whole_file_and_files_of_other_kinds_have_no_damage() -> None:
    """Bytes after the end of a PNG, and formats without checksums, are nobody's mistake."""
    assert find_png_damage(encoded()) is None
    assert find_png_damage(encoded() + b'more') is None
    assert find_png_damage(b'') is None
    assert find_png_damage(b'\xff\xd8\xff a JPEG') is None


def test_every_changed_byte_is_found() -> None:
    """No byte after the signature can change unseen; Pillow alone reads some of these files with other labels."""
    whole = encoded()
    wrong = 0
    for place in range(8, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        assert find_png_damage(bytes(damaged)), f'byte {place}'
        try:
            wrong += not np.array_equal(np.asarray(Image.open(io.BytesIO(damaged))), PIXELS)
        except (OSError, SyntaxError, ValueError):
            continue
    assert wrong


@pytest.mark.parametrize('kept', [8, 20, 40, -13, -1])
def test_a_cut_file_is_found(kept: int) -> None:
    """A download that broke off is damage, wherever it broke off."""
    assert find_png_damage(encoded()[:kept]) == 'the end of the file is missing'
