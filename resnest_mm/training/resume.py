"""Loading mmengine's own training checkpoints with torch's restricted unpickler, and finding them."""

from __future__ import annotations

import contextlib
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from resnest_mm.errors import UserError

_DTYPE_CODES = '?bBhHiIlLqQefdgFDGSU'
_HISTORY_METHODS = ('min', 'max', 'current', 'mean')


def allow_mmengine_checkpoints() -> None:
    """Let `torch.load(weights_only=True)` read what mmengine writes beside the weights.

    A training checkpoint holds loss histories (`HistoryBuffer`, numpy arrays) and scores (numpy scalars), which torch
    from 2.6 on refuses by default. They are allowed by name. `HistoryBuffer` also pickles its own methods through
    `getattr`, and an empty array calls `bytes`; for both a stand-in is put that knows nothing else. All other globals
    stay refused, so a checkpoint still cannot run code. Applies to the whole process; calling it again changes nothing.
    """
    if not hasattr(torch.serialization, 'add_safe_globals'):
        return
    reconstruct: Any = np.zeros(1).__reduce__()[0]
    scalar: Any = np.float64(0).__reduce__()[0]
    allowed: list[Any] = [HistoryBuffer, np.ndarray, np.dtype]
    allowed += [(_history_method, 'builtins.getattr'), (_empty_bytes, 'builtins.bytes')]
    allowed += [type(np.dtype(code)) for code in _DTYPE_CODES]
    # numpy 2 renamed the module, and a file names the one that its writer had.
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        allowed += [(reconstruct, f'{module}._reconstruct'), (scalar, f'{module}.scalar')]
    torch.serialization.add_safe_globals(allowed)


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
            (after `allow_mmengine_checkpoints`: more than mmengine's own).
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
    refused = _refused_globals(file)
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


def _history_method(owner: object, name: str) -> object:
    if owner is not HistoryBuffer or name not in _HISTORY_METHODS:
        raise pickle.UnpicklingError(f'a checkpoint may not take the attribute {name!r} of {owner!r}')
    return getattr(HistoryBuffer, name)


def _empty_bytes() -> bytes:
    return b''


def _refused_globals(file: Path) -> list[str]:
    """Return the names that torch will refuse, read without unpickling; empty where torch cannot tell in advance."""
    scan = getattr(torch.serialization, 'get_unsafe_globals_in_checkpoint', None)
    if scan is None or not zipfile.is_zipfile(file):
        return []
    with contextlib.suppress(ValueError, RuntimeError):
        return sorted(scan(file))
    return []
