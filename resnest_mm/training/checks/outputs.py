"""Whether a run will be able to write its results, found before it computes them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from resnest_mm.errors import UserError


def check_output_folder(folder: str | Path, *, source: str) -> None:
    """Refuse a folder in which no file can be made; nothing is left there.

    Permissions alone do not tell: the file system may be read-only, full, or one of another computer.

    Args:
        folder: The folder; it and those above it need not exist.
        source: Where the path comes from, for the message, such as `--show-dir` or `work_dir`.

    Raises:
        UserError: The path, or one above it, is a file, or the nearest folder that exists cannot be written to.
    """
    path = Path(folder).absolute()
    nearest = next(parent for parent in (path, *path.parents) if parent.exists())
    if not nearest.is_dir():
        raise UserError(f'{source} {folder}: {nearest} is a file; choose another {source}')
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f'{source} {folder}: {nearest} is not writable ({reason}); choose another {source}') from error


def check_output_file(file: str | Path, *, source: str) -> None:
    """Refuse a file that cannot be written or replaced.

    Args:
        file: The file; it and the folders above it need not exist.
        source: Where the path comes from, for the message, such as `--out`.

    Raises:
        UserError: As `check_output_folder`, or the file is a folder or read-only.
    """
    path = Path(file)
    if path.is_dir():
        raise UserError(f'{source} {file} is a folder; name a file in it')
    check_output_folder(path.absolute().parent, source=source)
    if path.exists() and not os.access(path, os.W_OK):
        raise UserError(f'{source} {file} is not writable; choose another {source}')
