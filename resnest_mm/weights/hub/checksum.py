"""Whether a file is the published one."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from resnest_mm.weights.io.hashing import file_digest

_SHOWN: Final = 8


def checksum_mismatch(file: Path, *, digest: str | None, algorithms: Sequence[str] = ('sha256',)) -> str | None:
    """Return how a file differs from the published one; None if it does not.

    Args:
        file: The file.
        digest: Published hash or its beginning, in hexadecimal digits. With None, the file is only checked for the
            marks of an interrupted or refused download.
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
        start = stream.read(2)
    if start == b'PK' and not zipfile.is_zipfile(file):
        return 'it is cut short'
    if start[:1] == b'<':
        return 'it is a web page'
    return None if start else 'it is empty'
