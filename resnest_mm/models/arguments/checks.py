"""Checks of single arguments: each function returns the value, or raises an error that says what is allowed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any


def integer(name: str, value: Any, *, least: int, most: int | None = None) -> int:
    """Return `value` if it is a whole number from `least` to `most`."""
    allowed = f'a whole number, {least} or more' if most is None else f'a whole number from {least} to {most}'
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{name}={value!r} must be {allowed}')
    if value < least or (most is not None and value > most):
        raise ValueError(f'{name}={value} must be {allowed}')
    return value


def boolean(name: str, value: Any) -> bool:
    """Return `value` if it is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f'{name}={value!r} must be True or False')
    return value


def probability(name: str, value: Any) -> float:
    """Return `value` if it is a number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f'{name}={value!r} must be a number in [0, 1)')
    if not 0 <= value < 1:
        raise ValueError(f'{name}={value} must be in [0, 1): it is a probability, not a percentage')
    return float(value)


def integers(name: str, value: Any, *, length: int, what: str, least: int = 1) -> tuple[int, ...]:
    """Return `value` as a tuple if it holds `length` whole numbers, each `least` or more."""
    entries = _sequence(name, value, length=length, what=what)
    return tuple(integer(f'{name}[{index}]', entry, least=least) for index, entry in enumerate(entries))


def booleans(name: str, value: Any, *, length: int, what: str) -> tuple[bool, ...]:
    """Return `value` as a tuple if it holds `length` booleans."""
    entries = _sequence(name, value, length=length, what=what)
    return tuple(boolean(f'{name}[{index}]', entry) for index, entry in enumerate(entries))


def _sequence(name: str, value: Any, *, length: int, what: str) -> Sequence[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f'{name}={value!r} must be a tuple with one entry for each {what}')
    if len(value) != length:
        raise ValueError(f'{name}={tuple(value)} must have {length} entries, one for each {what}')
    return value


def stage_indices(name: str, value: Any, *, num_stages: int) -> tuple[int, ...]:
    """Return `value` as a tuple if it holds one or more stage indices in rising order."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f'{name}={value!r} must be a tuple of stage indices from 0 to {num_stages - 1}')
    indices = tuple(integer(f'{name}[{i}]', entry, least=0, most=num_stages - 1) for i, entry in enumerate(value))
    if not indices or list(indices) != sorted(set(indices)):
        raise ValueError(f'{name}={indices} must name at least one stage, in rising order, each once')
    if indices[-1] < num_stages - 1:
        warnings.warn(
            f'{name}={indices} leaves the stages after index {indices[-1]} unused; num_stages={indices[-1] + 1} does '
            'not build them (unused parameters stop distributed training)',
            stacklevel=4,
        )
    return indices
