"""Whether a checkpoint file is whole, told by its checksums and without reading a tensor into the memory."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path


def find_damage(file: Path) -> str | None:
    """Return what is wrong with a file, in few words; None where it is whole, or where nothing in it would tell.

    Files of `torch.save` since torch 1.6 are zip archives, which hold a checksum (CRC-32) of each tensor. Other files
    hold none; of these only the beginning is looked at.

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
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, ValueError, EOFError, RuntimeError):
        return 'it is cut short or damaged'
    return None if damaged is None else f'its part {damaged} does not have the checksum that was written with it'
