"""The folder of pictures: written whole or not at all; files of other origin in it are never replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from resnest_mm.atomic import replacing_folder
from resnest_mm.errors import UserError, one_line
from resnest_mm.training.checks.outputs import check_output_folder

RECORD: Final = 'browse.json'
"""A record of all files of the folder; a later run may replace these files."""


def check_folder(out: Path) -> None:
    """Refuse a folder with files that no earlier run has written.

    Args:
        out: The folder; it need not exist.

    Raises:
        UserError: `out` or a folder above it is a file or cannot be written to, or `out` holds other files.
    """
    above = next((parent for parent in out.absolute().parents if parent.exists()), None)
    if above is not None and not above.is_dir():
        raise UserError(f'out={str(out)!r} would lie in {above}, which is no folder; choose another name')
    if out.is_dir():
        foreign = sorted(_names(out) - _own_names(out))
        if foreign:
            raise UserError(
                f'out={str(out)!r} holds {foreign[0]!r}, which is not from this tool; choose another folder'
            )
    elif out.exists() or out.is_symlink():
        raise UserError(f'out={str(out)!r} exists and is no folder; choose another name')
    check_output_folder(out.absolute().parent, source='OUT')  # the temporary folder is made next to it


@contextmanager
def picture_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder; it replaces `out` on success and is removed on failure.

    Args:
        out: The folder to write or replace, checked by `check_folder`; its parents are created on success.

    Raises:
        UserError: The folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(replacing_folder(out))
        except OSError as error:
            raise UserError(f'out={str(out)!r} cannot be written: {one_line(error)}') from error
        yield folder


def write_record(folder: Path, content: dict[str, Any]) -> None:
    """Write the record of a folder.

    Args:
        folder: It already holds all other files.
        content: Entries of the record besides the names of the files.
    """
    files = sorted(_names(folder) | {RECORD})
    text = json.dumps({**content, 'files': files}, indent=2, allow_nan=False)
    (folder / RECORD).write_text(text + '\n', encoding='utf-8')


def _own_names(folder: Path) -> set[str]:
    try:
        return set(json.loads((folder / RECORD).read_text(encoding='utf-8'))['files'])
    except (OSError, ValueError, TypeError, KeyError):
        return set()


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
