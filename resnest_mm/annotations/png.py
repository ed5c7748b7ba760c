"""Finding damage in PNG files that decoders do not report."""

from __future__ import annotations

import struct
import zlib
from typing import Final

SIGNATURE: Final = b'\x89PNG\r\n\x1a\n'
_AROUND: Final = 12
"""Bytes of a chunk besides its content: length, name and checksum."""


def find_png_damage(content: bytes) -> str | None:
    """Return what is wrong with a PNG file, or None for a whole one and for files of other kinds.

    Pillow does not verify the checksums of pixels, so a damaged file gives other pixels without a word.

    Args:
        content: The whole file.
    """
    if not content.startswith(SIGNATURE):
        return None
    view, start = memoryview(content), len(SIGNATURE)
    while start + _AROUND <= len(view):
        (length,) = struct.unpack_from('>I', view, start)
        end = start + _AROUND + length
        if end > len(view):
            break
        (checksum,) = struct.unpack_from('>I', view, end - 4)
        if zlib.crc32(view[start + 4 : end - 4]) != checksum:
            return f'a checksum is wrong at byte {start}'
        if bytes(view[start + 4 : start + 8]) == b'IEND':
            return None
        start = end
    return 'the end of the file is missing'
