"""The tensors in the content of a checkpoint file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from resnest_mm.errors import CheckpointError, first_names

TENSOR_ENTRIES: Final = (
    'state_dict',
    'model',
    'model_state_dict',
    'params',
    'ema_state_dict',
    'state_dict_ema',
    'model_ema',
)
"""Entries under which checkpoints keep their tensors, the most wanted first."""

_DEEPEST: Final = 3


class FileError(CheckpointError):
    """A checkpoint file that cannot be read or written.

    Args:
        reason: The reason and what to do.
        path: The file, to begin the message with; None where the caller adds it.
    """

    def __init__(self, reason: str, *, path: str | Path | None = None) -> None:
        super().__init__(reason if path is None else f'{path}: {reason}')
        self.reason = reason


class UntrustedContentError(FileError):
    """A checkpoint file that holds more than tensors, so that loading it could run code."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file.

    Args:
        tensors: Tensors by name, on the CPU.
        entry: Entry of the file that holds them, with dots where entries are nested; None: the file itself.
        extras: The other entries of the file: `meta`, `optimizer`, ...
        skipped: Names next to the tensors whose values are no tensors.
        metadata: Versions of the modules that wrote the tensors, as torch keeps them beside a state dict; None where
            the file has none.
    """

    tensors: dict[str, Tensor]
    entry: str | None
    extras: dict[str, object]
    skipped: tuple[str, ...]
    metadata: Mapping[str, Any] | None = None


def find_tensors(content: object, *, entry: str | None = None) -> Checkpoint:
    """Return the tensors in the content of a file, and everything else in it.

    Args:
        content: The unpickled content; not modified.
        entry: Entry that holds the tensors. None takes the first of `TENSOR_ENTRIES` that the content has, or the
            content itself.

    Raises:
        FileError: If there is no such entry, if it holds no tensors, or if a tensor is sparse or has no values.
    """
    if isinstance(content, nn.Module):
        content = content.state_dict()
    if not isinstance(content, Mapping):
        raise FileError(f'it holds a {type(content).__name__}, not a dict of tensors')
    if entry is not None and not isinstance(content.get(entry), Mapping | nn.Module):
        entries = first_names(sorted(map(str, content)))
        raise FileError(f'it has no entry {entry!r} with tensors; its entries are {entries}')
    path, found = unwrap(content, entry=entry)
    tensors = {name: as_tensor(name, value) for name, value in found.items() if _is_numeric(name, value)}
    if not tensors:
        where = f'its entry {".".join(path)!r}' if path else 'it'
        raise FileError(f'{where} holds no tensors, only {first_names(sorted(map(str, found)))}')
    return Checkpoint(
        tensors=tensors,
        entry='.'.join(path) or None,
        extras={str(name): value for name, value in content.items() if name != path[0]} if path else {},
        skipped=tuple(str(name) for name in found if name not in tensors),
        metadata=_metadata(found),
    )


def as_tensor(name: str, value: object, *, needs_values: bool = True) -> Tensor:
    """Return a tensor or an array as a dense tensor in the byte order of this machine.

    Args:
        name: Name of the tensor, for messages.
        value: A tensor, whose memory is shared, or an array, which is copied.
        needs_values: Whether the tensor must hold all of its values. With False, tensors on the meta device and
            expanded ones are returned as they are.

    Raises:
        FileError: If the value is no tensor and no array of numbers, or is sparse, quantized or without values.
    """
    if isinstance(value, Tensor):
        tensor = value.detach()
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise FileError(f'{name} is a sparse or quantized tensor; save it as a dense one')
        if needs_values and tensor.is_meta:
            raise FileError(f'{name} is a tensor on the meta device, without values; save it with its values')
        if needs_values and tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise FileError(f'{name} has {tensor.numel()} elements, but the file holds fewer; save it as a dense one')
        return tensor
    if not isinstance(value, np.ndarray | np.generic):
        raise FileError(f'{name} is a {type(value).__name__}, not a tensor')
    try:
        # A copy: torch shares the memory of an array, and an array read from a file may be read-only.
        return torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder('='), order='C'))
    except TypeError as error:
        raise FileError(f'{name} is an array of dtype {value.dtype}, which no tensor has') from error


def count_not_finite(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the number of NaN and infinite elements of each tensor that has any.

    Args:
        tensors: Tensors by name.
    """
    counts = {}
    for name, value in tensors.items():
        if value.is_floating_point() or value.is_complex():
            # torch cannot compare floats of 8 bits
            wide = value.float() if value.element_size() == 1 else value
            counts[name] = int((~wide.isfinite()).sum())
    return {name: count for name, count in counts.items() if count}


def unwrap(content: Mapping[Any, Any], *, entry: str | None = None) -> tuple[list[str], Mapping[Any, Any]]:
    """Return the names of the nested entries that lead to the tensors of a checkpoint, and the mapping that holds them.

    Args:
        content: The checkpoint; not modified.
        entry: The outermost entry, which must exist; None takes the first of `TENSOR_ENTRIES` that there is, if any.
    """
    path: list[str] = []
    while len(path) < _DEEPEST:
        name = entry if entry is not None and not path else _tensor_entry(content)
        if name is None:
            break
        inner = content[name]
        content = inner.state_dict() if isinstance(inner, nn.Module) else inner
        path.append(name)
    return path, content


def _tensor_entry(content: Mapping[Any, Any]) -> str | None:
    return next((name for name in TENSOR_ENTRIES if isinstance(content.get(name), Mapping | nn.Module)), None)


def _is_numeric(name: object, value: object) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor | np.ndarray | np.generic)


def _metadata(state: Mapping[Any, Any]) -> Mapping[str, Any] | None:
    found = getattr(state, '_metadata', None)
    if not isinstance(found, Mapping):
        return None
    return {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, Mapping)}
