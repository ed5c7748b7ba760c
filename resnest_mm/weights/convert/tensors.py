"""What a conversion takes and what stops it: tensors by name, and one kind of error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor

from resnest_mm.errors import ConversionError, first_names
from resnest_mm.weights.io.contents import FileError, as_tensor, unwrap
from resnest_mm.weights.layouts.names import COUNTER

Value: TypeAlias = 'Tensor | NDArray[Any]'
Shape: TypeAlias = tuple[int, ...]


def as_tensors(content: object) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint's content by name, out of the dicts that they are wrapped in.

    Args:
        content: A mapping of names to tensors or numpy arrays, or one that holds such a mapping under a name in
            `TENSOR_ENTRIES` of `resnest_mm.weights.io.contents`. Not modified; the tensors returned share memory with
            those handed in.

    Raises:
        ConversionError: On anything else, on numbers that are not floating (counters: not whole), and on nothing.
    """
    inner = _unwrap(content)
    if not isinstance(inner, Mapping):
        raise ConversionError(f'a {type(inner).__name__} is no checkpoint; hand over a mapping of names to tensors')
    if not inner:
        raise ConversionError('the checkpoint has no tensors')
    tensors: dict[str, Tensor] = {}
    wrong: list[str] = []
    for key, value in inner.items():
        tensor = _as_tensor(key, value)
        if not isinstance(key, str) or tensor is None:
            wrong.append(f'{key} ({type(value).__name__})')
        elif not _fits(key, tensor):
            wrong.append(f'{key} ({tensor.dtype})')
        else:
            tensors[key] = tensor
    if wrong:
        raise ConversionError(
            'a checkpoint has floating-point tensors, and integers in its counters; '
            f'{len(wrong)} of {len(inner)} are of another kind: {first_names(wrong)}'
        )
    return tensors


def refuse(
    subject: str, *, unknown: Sequence[str] = (), missing: Sequence[str] = (), reshaped: Sequence[str] = ()
) -> None:
    """Raise if any of these keys is wrong.

    Args:
        subject: What the checkpoint was taken for, to follow "This is no complete".
        unknown: Keys that it should not have.
        missing: Keys that it should have.
        reshaped: Keys of another shape, with both shapes.

    Raises:
        ConversionError: Naming the first five of each kind and their number.
    """
    kinds = (('unknown', unknown), ('missing', missing), ('of another shape', reshaped))
    wrong = [f'{len(keys)} {what}: {first_names(keys)}' for what, keys in kinds if keys]
    if wrong:
        raise ConversionError(f'this is no complete {subject}: {"; ".join(wrong)}')


def _unwrap(content: object) -> object:
    if not isinstance(content, Mapping):
        return content
    path, inner = unwrap(content)
    # mmengine keeps its number of updates there
    return {key: value for key, value in inner.items() if path[-1:] != ['ema_state_dict'] or key != 'steps'}


def _as_tensor(key: object, value: object) -> Tensor | None:
    try:
        return as_tensor(str(key), value, needs_values=False)
    except FileError:
        return None


def _fits(key: str, value: Tensor) -> bool:
    if key.rpartition('.')[2] == COUNTER:
        return not (value.is_floating_point() or value.is_complex() or value.dtype is torch.bool)
    return value.is_floating_point()
