"""Writing a file or a folder so that readers see the old content or the new one, never a part of it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary name next to a file; it replaces the file on success and is removed on failure.

    Args:
        path: The file to write or replace; its folder exists.
        durable: Whether the new content is on the disk when this returns, so that a power failure loses nothing.
    """
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        yield temporary
        if durable:
            _flush(temporary)
        os.replace(temporary, path)
        if durable:
            # Some network file systems cannot flush a folder; they write a new name at once.
            with suppress(OSError):
                _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def leftovers(folder: Path, *, names: str = '.+') -> list[Path]:
    """Return the temporary files of `replacing` in a folder, which a killed process could not remove.

    Args:
        folder: The folder.
        names: Regular expression for the names of the files that no other process writes now.
    """
    return [path for path in folder.glob('.*.tmp') if re.fullmatch(rf'\.({names})\.\d+\.tmp', path.name)]


def _flush(path: Path) -> None:
    """Wait until the disk has a file's content, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder; it replaces a folder on success and is removed on failure.

    Args:
        path: The folder to write or replace. Links are followed. Its parents are made on success only.
    """
    target = path.resolve()
    # On the same file system, and in a folder that exists already, so that a failure leaves no new parents.
    beside = next(parent for parent in target.parents if parent.is_dir())
    with tempfile.TemporaryDirectory(prefix=f'{target.name}.tmp-{os.getpid()}-', dir=beside) as name:
        built = Path(name, 'new')
        built.mkdir()
        yield built
        target.parent.mkdir(parents=True, exist_ok=True)
        _swap_folders(built, target, old=Path(name, 'old'))


def _swap_folders(built: Path, target: Path, *, old: Path) -> None:
    """Move `target` to `old` and `built` to `target`; if that fails, move `target` back."""
    try:
        if target.exists():
            os.rename(target, old)
        os.rename(built, target)
    except BaseException:
        if old.exists() and not target.exists():
            os.rename(old, target)
        raise
