"""The folder of pictures: written whole or not at all, and never over somebody else's files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from resnest_mm.atomic import replacing_folder
from resnest_mm.errors import UserError, one_line

RECORD: Final = 'browse.json'
"""Names every file beside it, so that a later run knows which ones it may replace."""


def check_folder(out: Path) -> None:
    """Refuse a folder that holds anything that is not from an earlier run.

    Args:
        out: The folder; it need not exist.

    Raises:
        UserError: It or a folder above it is a file, or it holds something else.
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


@contextmanager
def picture_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder; put it in the place of `out` on success, remove it on failure.

    Args:
        out: The folder to write or replace, checked by `check_folder`; its parents are made on success.

    Raises:
        UserError: It cannot be written there.
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
        folder: Where all other files are already.
        content: What to record besides their names.
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
