"""Making a file to hand out from a training's checkpoint: weights, what is worth knowing about them, named by hash."""

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
from resnest_mm.weights.io.contents import Checkpoint, FileError, count_not_finite
from resnest_mm.weights.io.hashing import file_digest
from resnest_mm.weights.io.read import read_checkpoint
from resnest_mm.weights.io.write import check_target, write_checkpoint

HASH_DIGITS: Final = 8
_HASH_AT_END: Final = re.compile(rf'-[0-9a-f]{{{HASH_DIGITS}}}$')
_EMA: Final = 'ema_state_dict'
_NOT_OF_THE_WEIGHTS: Final = ('hook_msgs',)


@dataclass(frozen=True)
class Publication:
    """What was published.

    Args:
        path: The file.
        sha256: Its hash.
        checkpoint: What the source held.
        meta: What the file notes about the weights.
        stripped: Entries of the source that are not in the file.
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
    """Write `<stem>-<first 8 digits of its SHA-256>.pth` into a folder, which is made if it is not there.

    Args:
        source: A checkpoint, of a training or not.
        folder: Where to write.
        entry: Entry of the source that holds the weights; None finds it.
        keep_ema: Whether to keep mmengine's second set of weights, with which a training with `EMAHook` goes on.
        trust: As in `read_checkpoint`.
        force: Whether to replace a file of the same name.

    Raises:
        FileError: The source cannot be read or holds NaN or Inf, or the file cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise FileError(f'{folder} is a file; name a folder to publish into')
    checkpoint = read_checkpoint(source, trust=trust, entry=entry)
    if wrong := count_not_finite(checkpoint.tensors):
        name, count = next(iter(wrong.items()))
        raise FileError(f'{source} has NaN or Inf in {len(wrong)} tensors, e.g. {count} in {name}; publish another one')
    extras = _ema(checkpoint, source=source) if keep_ema else {}
    meta = {
        **_notes(checkpoint.extras),
        'resnest_mm_version': package_version(),
        'torch_version': str(torch.__version__),  # a class of torch's own, which plain readers refuse
        'source': source.name,
        'source_sha256': file_digest(source),
    }
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    stem = _HASH_AT_END.sub('', source.stem)
    unnamed = folder / f'.{stem}.{os.getpid()}.pth'
    try:
        digest = write_checkpoint(unnamed, checkpoint.tensors, meta=meta, extras=extras)
        path = folder / f'{stem}-{digest[:HASH_DIGITS]}.pth'
        check_target(path, force=force)
        os.replace(unnamed, path)
    except FileError:
        unnamed.unlink(missing_ok=True)
        if made:
            folder.rmdir()
        raise
    stripped = tuple(sorted({*checkpoint.extras, *checkpoint.skipped} - {'meta', *extras}))
    return Publication(path=path, sha256=digest, checkpoint=checkpoint, meta=meta, stripped=stripped)


def plain(value: Any) -> Any:
    """Return a value made of nothing but what any checkpoint reader admits: containers, numbers, text.

    Args:
        value: What a checkpoint's meta may hold; numpy's numbers and arrays become Python's.

    Raises:
        TypeError: It holds something else.
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
        if not isinstance(name, str) or name in _NOT_OF_THE_WEIGHTS:
            continue
        try:
            notes[name] = plain(value)
        except (TypeError, RecursionError):  # a hook's state; the reader of the file could not load it
            continue
    return notes


def _ema(checkpoint: Checkpoint, *, source: Path) -> dict[str, object]:
    ema = checkpoint.extras.get(_EMA)
    if not isinstance(ema, Mapping) or not all(isinstance(value, torch.Tensor) for value in ema.values()):
        raise FileError(f'{source} has no entry {_EMA!r} with tensors to keep; leave --keep-ema out')
    return {_EMA: dict(ema)}
