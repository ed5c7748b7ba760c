"""Finding the tensors in what a checkpoint file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from resnest_mm.errors import CheckpointError
from resnest_mm.weights.io.unpickle import PickledArray

CONTAINERS: Final = (
    'state_dict',
    'model',
    'model_state_dict',
    'params',
    'ema_state_dict',
    'state_dict_ema',
    'model_ema',
)
"""Entries under which checkpoints keep their tensors; the first that a file has counts."""

_DEEPEST: Final = 3


class FileError(CheckpointError):
    """A checkpoint file that cannot be read or written, with the reason and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Args:
        tensors: Tensors by name, on the CPU.
        entry: Entry of the file that held them, dotted where entries lie in one another; None: the file itself.
        extras: The file's other entries: `meta`, `optimizer`, ...
        skipped: Names beside the tensors that hold something else.
    """

    tensors: dict[str, Tensor]
    entry: str | None
    extras: dict[str, object]
    skipped: tuple[str, ...]


def find_tensors(content: object, *, entry: str | None = None) -> Checkpoint:
    """Return what a file's content comes to.

    Args:
        content: What the file was unpickled to.
        entry: The entry that holds the tensors; None looks for those in `CONTAINERS`, then at the content itself.

    Raises:
        FileError: No such entry, no tensors, or a tensor without plain numbers.
    """
    if isinstance(content, nn.Module):
        content = content.state_dict()
    if not isinstance(content, Mapping):
        raise FileError(f'it holds a {type(content).__name__}, not a dict of tensors')
    extras = dict(content)
    path: list[str] = []
    found: Mapping[Any, Any] = content
    while len(path) < _DEEPEST:
        name = _container(found, entry if not path else None)
        if name is None:
            break
        found = found[name].state_dict() if isinstance(found[name], nn.Module) else found[name]
        path.append(name)
    if path:
        del extras[path[0]]
    else:
        extras = {}
    tensors = {name: as_tensor(name, value) for name, value in found.items() if _is_numeric(name, value)}
    if not tensors:
        where = f'its entry {".".join(path)!r}' if path else 'it'
        raise FileError(f'{where} holds no tensors, only {_some(found)}')
    skipped = tuple(str(name) for name in found if name not in tensors)
    return Checkpoint(
        tensors=tensors,
        entry='.'.join(path) or None,
        extras={str(name): value for name, value in extras.items()},
        skipped=skipped,
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
    if isinstance(value, PickledArray):
        value = value.values
    if not isinstance(value, np.ndarray | np.generic):
        raise FileError(f'{name} is a {type(value).__name__}, not a tensor')
    try:
        # A copy: torch shares the memory of an array, and an array read from a file may be read-only.
        return torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder('='), order='C'))
    except TypeError as error:
        raise FileError(f'{name} is an array of dtype {value.dtype}, which no tensor has') from error


def count_not_finite(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Return how many numbers are NaN or infinite in each tensor that has any."""
    counts = {}
    for name, value in tensors.items():
        if value.is_floating_point() or value.is_complex():
            # torch compares no 8-bit floats
            wide = value.float() if value.element_size() == 1 else value
            counts[name] = int((~wide.isfinite()).sum())
    return {name: count for name, count in counts.items() if count}


def _container(content: Mapping[Any, Any], entry: str | None) -> str | None:
    if entry is not None:
        if not isinstance(content.get(entry), Mapping | nn.Module):
            raise FileError(f'it has no entry {entry!r} with tensors; its entries are {_some(content)}')
        return entry
    return next((name for name in CONTAINERS if isinstance(content.get(name), Mapping | nn.Module)), None)


def _is_numeric(name: object, value: object) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor | np.ndarray | np.generic | PickledArray)


def _some(content: Mapping[Any, Any]) -> str:
    names = sorted(str(name) for name in content)
    more = f' and {len(names) - 5} more' if len(names) > 5 else ''
    return f'{", ".join(names[:5])}{more}' if names else 'nothing'
