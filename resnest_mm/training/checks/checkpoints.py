"""Checks of the checkpoint files that a run loads: they exist, have a kind that can be read, and cannot run code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mmengine.config import Config

from resnest_mm.errors import UserError, first_names
from resnest_mm.weights.io.contents import FileError, UntrustedContentError
from resnest_mm.weights.io.read import check_file

_TRAINING_ENTRIES: Final = ('meta', 'state_dict', 'message_hub')


def is_remote(path: str) -> bool:
    """Return whether a path has a scheme (`https://`, `s3://`, `open-mmlab://`) and is not a local file."""
    return '://' in path


def check_checkpoint(path: str, *, source: str, by_mmengine: bool = True, resumes: bool = False) -> None:
    """Refuse a checkpoint file that is missing, is no checkpoint or holds objects that torch refuses; load nothing.

    Args:
        path: Local path, or a remote one, which is not checked.
        source: Where the path comes from, for the message: `--resume`, `load_from`.
        by_mmengine: Whether mmengine loads the file, with `torch.load`. The initialiser `resnest_mm.Pretrained` also
            reads other kinds of files, such as `.safetensors`.
        resumes: Whether a training continues with it, which needs more than the weights.

    Raises:
        UserError: The file is missing, a folder, damaged, of a kind that cannot be read here, or holds objects that
            torch refuses (after `resnest_mm.weights.io.unpickle.allow_mmengine_checkpoints`: other objects than
            mmengine's), or a training cannot continue with it.
    """
    if is_remote(path):
        return
    file = Path(os.path.expanduser(path))  # Path.expanduser raises an error for a user that is unknown
    with contextlib.suppress(OSError):  # of a name that no file can have
        if file.is_dir():
            raise UserError(f'{source}: checkpoint {path} is a folder; name a .pth file in it')
        if not file.exists():
            raise UserError(f'{source}: checkpoint {path} does not exist (looked in {Path.cwd()})')
    try:
        checked = check_file(file)
    except UntrustedContentError as error:
        what = error.reason.partition(', which is refused')[0].removeprefix('it ')
        raise UserError(
            f'{source}: checkpoint {path} {what}, which torch does not load '
            "because it could run code; save the weights alone: torch.save({'state_dict': model.state_dict()}, FILE)"
        ) from error
    except FileError as error:
        raise UserError(f'{source}: {path} is not a {"PyTorch " * by_mmengine}checkpoint: {error.reason}') from error
    if by_mmengine and checked.kind != 'torch':
        raise UserError(
            f'{source}: {path} is a {checked.kind} file, but mmengine loads this checkpoint and reads files of '
            'torch.save only (.pth); name the file in init_cfg of a resnest_mm.ResNeSt, or convert it with '
            'tools/convert_checkpoint.py'
        )
    lacking = _lacking(checked.content) if resumes else []
    if lacking:
        entries = first_names(map(str, checked.content)) if isinstance(checked.content, Mapping) else 'none'
        raise UserError(
            f'{source}: {path} is no training checkpoint of mmengine: it lacks {first_names(lacking)} (its entries: '
            f'{entries}); to start a new training with its weights, say --cfg-options load_from={path} without --resume'
        )


def _lacking(content: object) -> list[str]:
    """Return what a training checkpoint has and the content of a file has not, by the names of its entries."""
    given = content if isinstance(content, Mapping) else {}
    meta = given.get('meta')
    lacking = [entry for entry in _TRAINING_ENTRIES if not isinstance(given.get(entry), Mapping)]
    if isinstance(meta, Mapping):
        lacking += [f'meta.{name}' for name in ('epoch', 'iter') if type(meta.get(name)) is not int]
    return lacking


def check_start(cfg: Config) -> None:
    """Refuse a training whose first checkpoint cannot be loaded: that of `load_from` or `--resume`.

    Args:
        cfg: Parsed config with its work_dir.

    Raises:
        UserError: As `check_checkpoint`.
    """
    if cfg.get('load_from'):
        resumes = bool(cfg.get('resume'))
        check_checkpoint(cfg.load_from, source='--resume' if resumes else 'load_from', resumes=resumes)
