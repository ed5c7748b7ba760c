"""Publishing the weights of a training's checkpoint as a file of its own, named by its SHA-256."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from resnest_mm.paths import package_version
from resnest_mm.weights.io.contents import Checkpoint, FileError
from resnest_mm.weights.io.hashing import file_digest
from resnest_mm.weights.io.plausible import check_values
from resnest_mm.weights.io.read import read_checkpoint
from resnest_mm.weights.io.write import check_target, write_checkpoint

DIGEST_DIGITS: Final = 8
_DIGEST_AT_END: Final = re.compile(rf'-[0-9a-f]{{{DIGEST_DIGITS}}}$')
_EMA: Final = 'ema_state_dict'
_TRAINING_NOTES: Final = ('hook_msgs',)
"""Entries of the meta that only a resumed training needs."""


@dataclass(frozen=True)
class Publication:
    """A published file.

    Args:
        path: The file.
        sha256: Its SHA-256.
        checkpoint: The content of the source.
        meta: The notes in the file.
        stripped: Names of the source's entries that are not in the file.
    """

    path: Path
    sha256: str
    checkpoint: Checkpoint
    meta: Mapping[str, Any]
    stripped: tuple[str, ...]


def publish(
    source: Path,
    folder: Path,
    *,
    entry: str | None = None,
    keep_ema: bool = False,
    trust: bool = False,
    force: bool = False,
) -> Publication:
    """Write the weights of a checkpoint to `<stem>-<first 8 digits of its SHA-256>.pth` in a folder.

    Args:
        source: The checkpoint.
        folder: Folder to write to; made where it does not exist.
        entry: Entry of the source that holds the weights; None finds it.
        keep_ema: Whether to keep mmengine's second set of weights, which a resumed training with `EMAHook` needs.
        trust: As in `read_checkpoint`.
        force: Whether to replace a file of the same name.

    Raises:
        CheckpointError: If the source cannot be read or has wrong values, see `find_wrong_values`, or if the file
            cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise FileError(f'{folder} is a file; name a folder to publish into')
    checkpoint = read_checkpoint(source, trust=trust, entry=entry)
    check_values(checkpoint.tensors, source=str(source), advice='publish another one')
    extras = _ema(checkpoint, source=source) if keep_ema else {}
    for name, averaged in extras.items():
        check_values(averaged, source=f'{source}: its entry {name}', advice='publish another one')
    meta = {
        **_notes(checkpoint.extras),
        'resnest_mm_version': package_version(),
        'torch_version': str(torch.__version__),  # TorchVersion is a class, which restricted unpicklers refuse
        'source': source.name,
        'source_sha256': file_digest(source),
    }
    new_folders = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    stem = _DIGEST_AT_END.sub('', source.stem)
    unnamed = folder / f'.{stem}.{os.getpid()}.pth'
    try:
        digest = write_checkpoint(unnamed, checkpoint.tensors, meta=meta, extras=extras)
        path = folder / f'{stem}-{digest[:DIGEST_DIGITS]}.pth'
        check_target(path, force=force)
        os.replace(unnamed, path)
    except BaseException:
        unnamed.unlink(missing_ok=True)
        for path in new_folders:
            path.rmdir()
        raise
    stripped = tuple(sorted({*checkpoint.extras, *checkpoint.skipped} - {'meta', *extras}))
    return Publication(path=path, sha256=digest, checkpoint=checkpoint, meta=meta, stripped=stripped)


def plain(value: Any) -> Any:
    """Return a value with nothing in it that a restricted unpickler refuses: containers, numbers, text.

    Args:
        value: A value in the meta of a checkpoint. Numbers and arrays of numpy become Python's.

    Raises:
        TypeError: If there is something else in it.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.generic | np.ndarray) and value.dtype.kind in 'biufU':
        return value.tolist()
    if isinstance(value, Mapping):
        return {plain(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(inner) for inner in value) if type(value) in (list, tuple) else [*map(plain, value)]
    raise TypeError(f'a {type(value).__name__} is no plain value')


def _notes(extras: Mapping[str, object]) -> dict[str, Any]:
    meta = extras.get('meta')
    notes: dict[str, Any] = {}
    for name, value in meta.items() if isinstance(meta, Mapping) else ():
        if not isinstance(name, str) or name in _TRAINING_NOTES:
            continue
        try:
            notes[name] = plain(value)
        except (TypeError, RecursionError):  # such as the state of a hook, which the file's readers could not load
            continue
    return notes


def _ema(checkpoint: Checkpoint, *, source: Path) -> dict[str, dict[str, torch.Tensor]]:
    ema = checkpoint.extras.get(_EMA)
    if not isinstance(ema, Mapping) or not all(isinstance(value, torch.Tensor) for value in ema.values()):
        raise FileError(f'{source} has no entry {_EMA!r} with tensors to keep; leave --keep-ema out')
    return {_EMA: dict(ema)}
