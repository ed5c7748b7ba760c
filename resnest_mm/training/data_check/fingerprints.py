"""Texts that change when files change, under which the findings about them are cached."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable


def hash_contents(paths: Iterable[str | os.PathLike[str]]) -> str:
    """Return a digest of the names and contents of files; a file that cannot be read counts as such.

    Args:
        paths: Files that are read completely.
    """
    digest = hashlib.sha256()
    for path in paths:
        digest.update(os.fspath(path).encode(errors='surrogateescape') + b'\0')
        try:
            with open(path, 'rb') as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError:
            digest.update(b'unreadable')
        digest.update(b'\0')
    return digest.hexdigest()


def hash_stats(paths: Iterable[str | os.PathLike[str]]) -> str:
    """Return a digest of the names, sizes and times of change of files, which are not read.

    Args:
        paths: Files, also missing ones.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            status = os.stat(path)
            state = f'{status.st_size} {status.st_mtime_ns}'
        except OSError:
            state = 'missing'
        digest.update(os.fspath(path).encode(errors='surrogateescape') + f'\0{state}\0'.encode())
    return digest.hexdigest()
