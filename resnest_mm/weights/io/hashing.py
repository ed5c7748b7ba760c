"""Going through a file, with a progress bar where that takes long."""

from __future__ import annotations

import hashlib
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Final

LARGE: Final = 64 * 2**20
"""Bytes from which a file is worth a progress bar."""

_CHUNK: Final = 2**20


def opened(path: Path, *, doing: str) -> AbstractContextManager[IO[bytes]]:
    """Return a file opened for reading, with a progress bar on a terminal where the file is large.

    Args:
        path: The file.
        doing: What to call it, e.g. `reading`.
    """
    if path.stat().st_size < LARGE or not sys.stderr.isatty():
        return path.open('rb')
    from rich.console import Console
    from rich.progress import open as open_with_progress

    description = f'{doing} {path.name}'
    return open_with_progress(path, 'rb', description=description, console=Console(stderr=True), transient=True)


def file_digest(path: Path, algorithm: str = 'sha256') -> str:
    """Return the hash of a file in hexadecimal digits.

    Args:
        path: The file.
        algorithm: A name that hashlib knows.
    """
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with opened(path, doing='hashing') as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
