"""Reading a checkpoint file of any kind without running code that it may hold."""

from __future__ import annotations

import importlib
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import torch

from resnest_mm.errors import first_names
from resnest_mm.weights.io.contents import Checkpoint, FileError, UntrustedContentError, find_tensors
from resnest_mm.weights.io.damage import find_damage
from resnest_mm.weights.io.hashing import open_with_progress
from resnest_mm.weights.io.restricted import RefusedError, check_nesting
from resnest_mm.weights.io.torch_outline import LEGACY_MAGIC, outline
from resnest_mm.weights.io.unpickle import ArrayUnpickler

_ZIP: Final = b'PK\x03\x04'


def read_checkpoint(
    path: str | Path, *, trust: bool = False, entry: str | None = None, verified: bool = False
) -> Checkpoint:
    """Return the content of a checkpoint file. The kind of file is told by its content, not by its ending.

    Torch's `.pth` and `.pt`, detectron2's `.pkl`, `.npz` and `.safetensors` can be read. For the training checkpoints
    of mmengine, call `resnest_mm.weights.io.unpickle.allow_mmengine_checkpoints()` first.

    Args:
        path: A local file.
        trust: Whether to unpickle everything that the file asks for, which runs any code that its writer put in.
        entry: Entry of the file that holds the tensors; None finds it.
        verified: Whether the file has just been compared with its published checksum, so that the checksums in it need
            not be.

    Raises:
        UntrustedContentError: If the file can be read with `trust` only.
        FileError: If there is no such file, or if it is damaged or no checkpoint.
    """
    file = Path(path)
    with _file_errors(path, trust=trust):
        read = _READERS[_check(file, trust=trust, verified=verified).kind]
        with open_with_progress(file, doing='reading') as stream:
            content = read(stream, trust)
        check_nesting(content)
        return find_tensors(content, entry=entry)


@dataclass(frozen=True)
class CheckedFile:
    """What is known of a checkpoint file before its tensors are read.

    Args:
        kind: As `kind_of` returns it.
        content: Its content with a `TensorOutline` in place of each tensor, see `outline`; None for other kinds of
            files than torch's.
    """

    kind: str
    content: object = None


def check_file(path: str | Path) -> CheckedFile:
    """Check everything about a file that can be checked without its tensors, and return what was found.

    Args:
        path: A local file.

    Raises:
        UntrustedContentError: If it holds more than tensors, so that loading it could run code.
        FileError: If there is no such file, or if it is damaged or no checkpoint.
    """
    with _file_errors(path):
        return _check(Path(path))


def _check(file: Path, *, trust: bool = False, verified: bool = False) -> CheckedFile:
    kind = kind_of(file)
    if not verified and (damage := find_damage(file)) is not None:
        raise FileError(f'{damage}; copy or download it again')
    return CheckedFile(kind, outline(file) if kind == 'torch' and not trust else None)


@contextmanager
def _file_errors(path: str | Path, *, trust: bool = False) -> Iterator[None]:
    """Turn everything that the parsers raise into a `FileError` with the file's name."""
    try:
        yield
    except FileError as error:
        raise FileError(error.reason, path=path) from error
    except OSError as error:
        raise FileError(f'it cannot be read: {error.strerror or error}', path=path) from error
    except Exception as error:  # on a damaged file, the parsers raise anything from KeyError to MemoryError
        refusal = None if trust else _refusal(error)
        if refusal is not None:
            reason = (
                f'{refusal}, which is refused because loading it could run code; if you know and trust where the file '
                'comes from, say --trust'
            )
            raise UntrustedContentError(reason, path=path) from error
        detail = next(iter(str(error).splitlines()), '')[:200] or type(error).__name__
        reason = f'it is damaged or no checkpoint: {detail}; copy or download it again'
        raise FileError(reason, path=path) from error


def kind_of(file: Path) -> str:
    """Return the kind of a file: `torch`, `pickle`, `npz` or `safetensors`.

    Args:
        file: The file.

    Raises:
        FileError: If it does not exist or is of no such kind.
    """
    if file.is_dir():
        raise FileError('it is a folder; name a file in it')
    if not file.exists():
        is_url = re.match(r'[A-Za-z][A-Za-z0-9+.-]+:/', str(file))
        advice = 'download the file of a URL first' if is_url else f'looked in {Path.cwd()}'
        raise FileError(f'there is no such file ({advice})')
    if not file.is_file():
        raise FileError('it is not a regular file')
    with file.open('rb') as stream:
        start = stream.read(16)
    if not start:
        raise FileError('it is empty; copy or download it again')
    if start.startswith(_ZIP):
        return _kind_of_zip(file)
    if start[:1] == b'\x80':
        return 'torch' if start[2:].startswith(LEGACY_MAGIC) else 'pickle'
    if start[8:9] == b'{':
        return 'safetensors'
    raise FileError(
        f'it begins with {start!r}, unlike any .pth, .pt, .pkl, .npz or .safetensors file; copy or download it again'
    )


def safetensors_module() -> Any:
    """Return `safetensors.torch`.

    Raises:
        FileError: If it is not installed.
    """
    try:
        return importlib.import_module('safetensors.torch')
    except ImportError as error:
        raise FileError('.safetensors files need another package: pip install "resnest_mm[weights]"') from error


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
    raise FileError(f'it is a zip archive without weights; it holds {first_names(names, most=3)}')


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
    """Return what a file asks for beyond tensors, if an error of its reader means that; None for any other error.

    Torch and numpy raise the same classes of errors for refused and for damaged files, so only their messages tell the
    difference. If a new version changes a message, such a file is still refused, but it is called damaged, and the
    advice to use `--trust` is missing. The tests of `read_checkpoint` with payloads fail then.
    """
    if isinstance(error, RefusedError):
        return str(error)
    for pattern, words in (
        # a pattern in messages of torch, numpy and this package, and what to say about its group
        (r'Unsupported global: GLOBAL (\S+)', 'it holds {}'),
        (r'unsupported GLOBAL (\S+)', 'it holds {}'),
        (r'Trying to call reduce for unrecognized function (.{1,80})', 'it calls {}'),
        (r'(Can only (?:create new object|build) .{1,80})', 'it holds other objects than tensors'),
        (r'a checkpoint may not (take the attribute .{1,80})', 'it wants to {}'),
        (r'(TorchScript)', 'it is a {} program'),
        (r'(legacy \.tar)', 'it is a {} file of torch before 0.1.10'),
        (r'(Object arrays)', 'it holds an array of Python objects'),
    ):
        if found := re.search(pattern, str(error)):
            return words.format(found.group(1))
    return None


_READERS: Final[dict[str, Callable[[IO[bytes], bool], Any]]] = {
    'torch': _read_torch,
    'pickle': _read_pickle,
    'npz': _read_npz,
    'safetensors': _read_safetensors,
}
