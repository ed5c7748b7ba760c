"""Whether a checkpoint file is whole, told by its checksums and without reading a tensor into the memory."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Final

_MOST_RATIO: Final = 1100
"""Bytes that one byte of a compressed part can stand for, by the format."""

_MOST_BYTES: Final = 2**32
"""Bytes of all compressed parts of an archive, unpacked."""


def find_damage(file: Path) -> str | None:
    """Return what is wrong with a file, in few words; None where it is whole, or where nothing in it would tell.

    Files of `torch.save` since torch 1.6 and `.npz` files are zip archives, which hold a checksum (CRC-32) of each
    part. Other files hold none; of these only the beginning is looked at. Archives that torch was told to write without
    checksums hold zeros in their place, which are not compared.

    Args:
        file: A file that exists.
    """
    with file.open('rb') as stream:
        start = stream.read(2)
    if not start:
        return 'it is empty'
    if start[:1] == b'<':
        return 'it is a web page'
    if start != b'PK':
        return None
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
            wrong = _find_contradiction(parts, file.stat().st_size)
            if wrong is not None:
                return wrong
            damaged = archive.testzip() if _has_checksums(parts) else None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, ValueError, EOFError, RuntimeError, OverflowError):
        return 'it is cut short or damaged'
    return None if damaged is None else f'its part {damaged} does not have the checksum that was written with it'


def holds_checksums(file: Path) -> bool:
    """Return whether a file holds checksums, so that `find_damage` finds each changed value.

    Args:
        file: A file without damage.
    """
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return _has_checksums(archive.infolist())


def _has_checksums(parts: list[zipfile.ZipInfo]) -> bool:
    # torch.serialization.set_crc32_options(False) writes zeros. Real ones are zero only by chance.
    return any(part.CRC for part in parts)


def _find_contradiction(parts: list[zipfile.ZipInfo], size: int) -> str | None:
    """Return what an archive says about its parts that cannot be, so that reading it would take for ever."""
    twice = [name for name, count in Counter(part.filename for part in parts).items() if count > 1]
    if twice:
        return f'it has {len(twice)} parts twice, e.g. {twice[0]}'
    stored = sum(part.compress_size for part in parts)
    if stored > size:
        return f'its parts claim {stored} bytes, but it has {size}'
    for part in parts:
        most = part.compress_size * (_MOST_RATIO if part.compress_type != zipfile.ZIP_STORED else 1)
        if part.file_size > most + (64 if part.compress_type != zipfile.ZIP_STORED else 0):
            return f'its part {part.filename} claims {part.file_size} bytes, but has {part.compress_size}'
    packed = sum(part.file_size for part in parts if part.compress_type != zipfile.ZIP_STORED)
    if packed > _MOST_BYTES:
        return f'its compressed parts claim {packed} bytes unpacked, which no checkpoint needs'
    return None
