"""Finding and checking the checkpoints that a training or a test starts from."""

from __future__ import annotations

import zipfile
from pathlib import Path

from resnest_mm.errors import UserError
from resnest_mm.weights.io.unpickle import refused_globals


def is_remote(path: str) -> bool:
    """Return whether a path is fetched by mmengine (`https://`, `s3://`, `open-mmlab://`) and not a local file."""
    return '://' in path


def check_checkpoint(path: str, *, source: str) -> None:
    """Refuse a checkpoint that is missing or not a checkpoint at all, without loading it.

    Args:
        path: Local path, or a remote one, which is not checked.
        source: Where the path comes from, for the message: `--resume`, `load_from`.

    Raises:
        UserError: No such file, a folder, neither a torch archive nor a pickle, or one with objects that torch refuses
            (after `resnest_mm.weights.io.unpickle.allow_mmengine_checkpoints`: more than mmengine's own).
    """
    if is_remote(path):
        return
    file = Path(path).expanduser()
    if file.is_dir():
        raise UserError(f'{source}: checkpoint {path} is a folder; name a .pth file in it')
    if not file.is_file():
        raise UserError(f'{source}: checkpoint {path} does not exist (looked in {Path.cwd()})')
    with file.open('rb') as stream:
        start = stream.read(1)
    if not zipfile.is_zipfile(file) and start != b'\x80':
        raise UserError(f'{source}: {path} is not a PyTorch checkpoint (or was cut short); copy or download it again')
    refused = refused_globals(file)
    if refused:
        raise UserError(
            f'{source}: checkpoint {path} holds {refused[0]}, which torch does not load because it could run code; '
            "save the weights alone: torch.save({'state_dict': model.state_dict()}, FILE)"
        )


def last_checkpoint(work_dir: str | Path) -> Path | None:
    """Return the checkpoint that the last training in a work_dir wrote, as mmengine noted it; None without a note.

    The file itself may have been moved or deleted since.
    """
    note = Path(work_dir) / 'last_checkpoint'
    return Path(note.read_text(encoding='utf-8').strip()) if note.is_file() else None
