"""Writing a file or a folder so that readers see the old content or the new one, never a part."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` on success, remove it on failure.

    Args:
        path: The file to write or replace; its directory exists.
    """
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def swap_folders(built: Path, target: Path, *, old: Path) -> None:
    """Put a folder in the place of another, which is put back where that fails.

    Args:
        built: The new folder, on the same file system.
        target: Where it belongs; what is there moves to `old`.
        old: Where nothing is yet, on the same file system.
    """
    try:
        if target.exists():
            os.rename(target, old)
        os.rename(built, target)
    except BaseException:
        if old.exists() and not target.exists():
            os.rename(old, target)
        raise
