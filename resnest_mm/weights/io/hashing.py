"""Hashing and opening a file, with a progress bar if it is large."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from tqdm import tqdm

LARGE: Final = 64 * 2**20
"""Size in bytes from which a file gets a progress bar."""

_CHUNK: Final = 2**20


@contextmanager
def open_with_progress(path: Path, *, doing: str) -> Iterator[IO[bytes]]:
    """Open a file for reading. If it is large and stderr is a terminal, a progress bar shows how much has been read.

    Args:
        path: The file.
        doing: Word before the file's name, e.g. `reading`.
    """
    with path.open('rb') as stream:
        size = path.stat().st_size
        if size < LARGE:
            yield stream
            return
        bar = tqdm(
            total=size,
            desc=f'{doing} {path.name}',
            unit='B',
            unit_scale=True,
            unit_divisor=1024,
            disable=None,
            leave=False,
        )
        with bar, io.BufferedReader(_CountedStream(stream, bar)) as counted:
            yield counted


def file_digest(path: Path, algorithm: str = 'sha256') -> str:
    """Return the hash of a file in hexadecimal digits.

    Args:
        path: The file.
        algorithm: A name that hashlib knows.
    """
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open_with_progress(path, doing='hashing') as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class _CountedStream(io.RawIOBase):
    """A file that moves a progress bar while it is read.

    `tqdm.wrapattr` counts calls of `read` alone, but torch reads its archives by `readinto`.
    """

    def __init__(self, stream: IO[bytes], bar: Any) -> None:
        self._stream, self._bar = stream, bar

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        count: int = self._stream.readinto(buffer)  # type: ignore[attr-defined]  # typing.IO lacks it
        self._bar.update(count)
        return count
