"""The tensors that a conversion takes, and the errors that say why it does not take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor

from resnest_mm.errors import ConversionError, first_names
from resnest_mm.weights.io.contents import FileError, as_tensor, unwrap
from resnest_mm.weights.layouts.names import COUNTER

Value: TypeAlias = 'Tensor | NDArray[Any]'
Shape: TypeAlias = tuple[int, ...]

_UPDATES: Final = 'steps'
"""Mmengine's number of updates of averaged weights, next to the averaged model, whose keys start with `module.`."""


def as_tensors(content: object, *, dropped: list[str] | None = None) -> dict[str, Tensor]:
    """Return the tensors in the content of a checkpoint by name.

    Args:
        content: Tensors or numpy arrays by name, or a mapping that has them in an entry named in `TENSOR_ENTRIES` of
            `resnest_mm.weights.io.contents`. Not modified; the tensors returned share memory with those in it.
        dropped: A list to which the keys left out are added: mmengine's number of updates of averaged weights.

    Raises:
        ConversionError: If there are no tensors, or something else among them.
    """
    if not isinstance(content, Mapping):
        raise ConversionError(f'a {type(content).__name__} is no checkpoint; hand over a mapping of names to tensors')
    path, inner = unwrap(content)
    tensors: dict[str, Tensor] = {}
    wrong: list[str] = []
    averaged = path[-1:] == ['ema_state_dict'] or all(
        str(key).startswith('module.') for key in inner if key != _UPDATES
    )
    for key, value in inner.items():
        if key == _UPDATES and averaged:
            if dropped is not None:
                dropped.append(key)
            continue
        tensor = _as_tensor(key, value)
        if not isinstance(key, str) or tensor is None:
            wrong.append(f'{key} ({type(value).__name__})')
        else:
            tensors[key] = tensor
    if wrong:
        raise ConversionError(
            'a checkpoint has nothing but tensors of numbers; '
            f'{len(wrong)} of {len(inner)} are of another kind: {first_names(wrong)}'
        )
    if not tensors:
        raise ConversionError('the checkpoint has no tensors')
    return tensors


def check_dtypes(tensors: Mapping[str, Tensor]) -> None:
    """Raise if a tensor of a network has a wrong dtype.

    Args:
        tensors: Tensors of convolutions, linear layers and norms by name.

    Raises:
        ConversionError: If a counter of a norm is no integer, or another tensor is not floating-point.
    """
    wrong = [f'{key} ({value.dtype})' for key, value in tensors.items() if not _fits(key, value)]
    if wrong:
        raise ConversionError(
            'the tensors of a network are floating-point, and integers in its counters; '
            f'{len(wrong)} of {len(tensors)} are of another kind: {first_names(wrong)}'
        )


def refuse(
    subject: str, *, unknown: Sequence[str] = (), missing: Sequence[str] = (), reshaped: Sequence[str] = ()
) -> None:
    """Raise if any key is wrong.

    Args:
        subject: What the checkpoint should be, to follow "this is no complete".
        unknown: Keys that it should not have.
        missing: Keys that it should have.
        reshaped: Keys of another shape, with both shapes.

    Raises:
        ConversionError: Naming the first keys of each kind and their number.
    """
    kinds = (('unknown', unknown), ('missing', missing), ('of another shape', reshaped))
    wrong = [f'{len(keys)} {what}: {first_names(keys)}' for what, keys in kinds if keys]
    if wrong:
        raise ConversionError(f'this is no complete {subject}: {"; ".join(wrong)}')


def _as_tensor(key: object, value: object) -> Tensor | None:
    try:
        return as_tensor(str(key), value, needs_values=False)
    except FileError:
        return None


def _fits(key: str, value: Tensor) -> bool:
    if key.rpartition('.')[2] == COUNTER:
        return not (value.is_floating_point() or value.is_complex() or value.dtype is torch.bool)
    return value.is_floating_point()
