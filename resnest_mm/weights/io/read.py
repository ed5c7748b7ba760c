"""Reading a checkpoint file of any kind without running what it may hold."""

from __future__ import annotations

import importlib
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import torch

from resnest_mm.weights.io.contents import Checkpoint, FileError, find_tensors
from resnest_mm.weights.io.hashing import opened
from resnest_mm.weights.io.unpickle import ArrayUnpickler, RefusedError

_LEGACY_TORCH: Final = b'\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'
"""Torch's magic number as a pickle, behind the two bytes of its protocol: how files from before torch 1.6 begin."""

_ZIP: Final = b'PK\x03\x04'
_REFUSALS: Final = (
    # What torch and numpy say where a file wants more than tensors, with the part worth repeating.
    (r'Unsupported global: GLOBAL (\S+)', 'it holds {}'),
    (r'unsupported GLOBAL (\S+)', 'it holds {}'),
    (r'Trying to call reduce for unrecognized function (.{1,80})', 'it calls {}'),
    (r'(Can only (?:create new object|build) .{1,80})', 'it holds other objects than tensors'),
    (r'a checkpoint may not (take the attribute .{1,80})', 'it wants to {}'),
    (r'(TorchScript)', 'it is a {} program'),
    (r'(legacy \.tar)', 'it is a {} file of torch before 0.1.10'),
    (r'(Object arrays)', 'it holds an array of Python objects'),
)


def read_checkpoint(path: str | Path, *, trust: bool = False, entry: str | None = None) -> Checkpoint:
    """Return what a checkpoint file holds; what kind of file it is tells its content, not its ending.

    Torch's `.pth` and `.pt`, detectron2's `.pkl`, `.npz` and `.safetensors` are read. Checkpoints of mmengine's
    trainings need `resnest_mm.weights.io.unpickle.allow_mmengine_checkpoints()` before.

    Args:
        path: A local file.
        trust: Whether to unpickle whatever the file asks for, which runs any code that its writer put in.
        entry: Entry of the file that holds the tensors; None finds it.

    Raises:
        FileError: There is no such file, it is no checkpoint or damaged, or it needs `trust`.
    """
    file = Path(path)
    try:
        read = _READERS[kind_of(file)]
        with opened(file, doing='reading') as stream:
            content = read(stream, trust)
        return find_tensors(content, entry=entry)
    except FileError as error:
        raise FileError(f'{path}: {error}') from error
    except OSError as error:
        raise FileError(f'{path} cannot be read: {error.strerror or error}') from error
    except Exception as error:  # a damaged file makes the parsers raise anything, from KeyError to MemoryError
        refusal = _refusal(error)
        if refusal is not None and not trust:
            raise FileError(
                f'{path}: {refusal}, which is refused because loading it could run code; if you know and trust '
                'where the file comes from, say --trust'
            ) from error
        reason = next(iter(str(error).splitlines()), '')[:200] or type(error).__name__
        raise FileError(f'{path} is damaged or no checkpoint: {reason}; copy or download it again') from error


def kind_of(file: Path) -> str:
    """Return what kind a file is: `torch`, `pickle`, `npz` or `safetensors`.

    Raises:
        FileError: It is none of these, or not there.
    """
    if file.is_dir():
        raise FileError('it is a folder; name a file in it')
    if not file.exists():
        raise FileError(f'there is no such file (looked in {Path.cwd()})')
    if not file.is_file():
        raise FileError('it is no plain file')
    with file.open('rb') as stream:
        start = stream.read(16)
    if not start:
        raise FileError('it is empty; copy or download it again')
    if start.startswith(_ZIP):
        return _kind_of_zip(file)
    if start[:1] == b'\x80':
        return 'torch' if start[2:].startswith(_LEGACY_TORCH) else 'pickle'
    if start[8:9] == b'{':
        return 'safetensors'
    raise FileError(
        f'it begins with {start!r}, as no .pth, .pt, .pkl, .npz or .safetensors file does; copy or download it again'
    )


def safetensors_module() -> Any:
    """Return `safetensors.torch`.

    Raises:
        FileError: It is not installed.
    """
    try:
        return importlib.import_module('safetensors.torch')
    except ImportError as error:
        raise FileError('.safetensors needs a package more: pip install "resnest_mm[weights]"') from error


def _kind_of_zip(file: Path) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise FileError('it was cut short or damaged; copy or download it again') from error
    if any(name.endswith('/data.pkl') for name in names):
        return 'torch'
    if names and all(name.endswith('.npy') for name in names):
        return 'npz'
    raise FileError(f'it is a zip archive without weights; it holds {", ".join(names[:3]) or "nothing"}')


def _read_torch(stream: IO[bytes], trust: bool) -> Any:
    return torch.load(stream, map_location='cpu', weights_only=not trust)


def _read_pickle(stream: IO[bytes], trust: bool) -> Any:
    return pickle.load(stream, encoding='latin1') if trust else ArrayUnpickler(stream).load()


def _read_npz(stream: IO[bytes], trust: bool) -> Any:
    with np.load(stream, allow_pickle=trust) as archive:
        return dict(archive.items())


def _read_safetensors(stream: IO[bytes], trust: bool) -> Any:
    return safetensors_module().load(stream.read())


def _refusal(error: Exception) -> str | None:
    if isinstance(error, RefusedError):
        return str(error)
    for pattern, words in _REFUSALS:
        if found := re.search(pattern, str(error)):
            return words.format(found.group(1))
    return None


_READERS: Final[dict[str, Callable[[IO[bytes], bool], Any]]] = {
    'torch': _read_torch,
    'pickle': _read_pickle,
    'npz': _read_npz,
    'safetensors': _read_safetensors,
}
