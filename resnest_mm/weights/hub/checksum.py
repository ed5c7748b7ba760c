"""Whether a file is the published one."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from resnest_mm.weights.io.contents import FileError
from resnest_mm.weights.io.damage import find_damage
from resnest_mm.weights.io.hashing import file_digest
from resnest_mm.weights.io.read import kind_of

_SHOWN: Final = 8
_START: Final = 512


def checksum_mismatch(file: Path, *, digest: str | None, algorithms: Sequence[str] = ('sha256',)) -> str | None:
    """Return how a file differs from the published one; None if it does not.

    Args:
        file: The file.
        digest: Published hash or its beginning, in hexadecimal digits. With None, the file must be a checkpoint of a
            kind that can be read, whole as far as its own checksums tell, and not a text: HTML, JSON or another one.
        algorithms: Hash functions that the digest may come from.
    """
    if digest is None:
        return _find_damage(file)
    found = {algorithm: file_digest(file, algorithm) for algorithm in algorithms}
    if any(value.startswith(digest) for value in found.values()):
        return None
    algorithm, value = next(iter(found.items()))
    kinds = ' or '.join(found)
    shown = len(digest) if value.startswith(digest[:_SHOWN]) else _SHOWN
    return f'its {algorithm} begins with {value[:shown]}, but the {kinds} of the published file with {digest[:shown]}'


def _find_damage(file: Path) -> str | None:
    with file.open('rb') as stream:
        start = stream.read(_START)
    if not start:
        return 'it is empty'
    if start[:2] == b'PK' and not zipfile.is_zipfile(file):
        return 'it is cut short'
    if text := _text(start):
        return text
    try:
        kind_of(file)
    except FileError as error:
        return error.reason.partition(';')[0]
    return find_damage(file)


def _text(start: bytes) -> str | None:
    """Return which text a file begins with; None for a file that no text editor would show."""
    try:
        text = start.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        # The beginning of a file may end within a character.
        if error.start < len(start) - 3:
            return None
        text = start[: error.start].decode('utf-8-sig')
    if any(ord(letter) < ord(' ') and letter not in '\t\n\r\f\x1b' for letter in text):
        return None
    for mark, what in (
        ('<', 'a web page'),
        ('{', 'JSON'),
        ('[', 'JSON'),
        ('version https://git-lfs', 'a Git LFS link'),
    ):
        if text.lstrip().startswith(mark):
            return f'it is {what}'
    return 'it is a text'
