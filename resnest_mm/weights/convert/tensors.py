"""What a conversion takes and what stops it: tensors by name, and one kind of error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor

from resnest_mm.errors import ConversionError
from resnest_mm.weights.io.contents import FileError, as_tensor, unwrap

Value: TypeAlias = 'Tensor | NDArray[Any]'
Shape: TypeAlias = tuple[int, ...]

COUNTER: Final = 'num_batches_tracked'
LISTED: Final = 5
"""How many keys of each kind a message names."""


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
            'a checkpoint has floating tensors, and whole numbers in its counters; '
            + listed('of another kind', wrong, of=len(inner))
        )
    return tensors


def listed(what: str, keys: Iterable[str], *, of: int | None = None) -> str:
    """Return how many keys of one kind there are and the first five: "7 missing: a, b, c, d, e, ..."."""
    names = list(keys)
    total = '' if of is None else f' of {of}'
    more = ', ...' if len(names) > LISTED else ''
    return f'{len(names)}{total} {what}: {", ".join(names[:LISTED])}{more}'


def refuse(subject: str, *, unknown: Sequence[str], missing: Sequence[str], reshaped: Sequence[str]) -> None:
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
    if any(keys for _, keys in kinds):
        raise ConversionError(
            f'this is no complete {subject}: ' + '; '.join(listed(what, keys) for what, keys in kinds if keys)
        )


def is_zero(value: Tensor) -> bool:
    """Say whether all elements are zero.

    Raises:
        ConversionError: On a tensor that has a shape only.
    """
    _needs_values(value)
    return not bool(value.any())


def is_equal(one: Tensor, other: Tensor) -> bool:
    """Say whether two tensors are equal element by element.

    Raises:
        ConversionError: On tensors that have a shape only.
    """
    _needs_values(one, other)
    return torch.equal(one, other)


def _needs_values(*values: Tensor) -> None:
    if any(value.is_meta for value in values):
        raise ConversionError('this conversion depends on values, and the tensors have shapes only')


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
