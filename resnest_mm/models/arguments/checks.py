"""Checks of single arguments: each function returns the value, or raises an error that says what is allowed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Final

MOST_CHANNELS: Final = 65_536
"""The largest number of channels, groups or splits that an argument may ask for."""

_LONGEST: Final = 200
"""Characters of a value in a message."""


def shown(value: Any) -> str:
    """Return a value as one short line for a message."""
    text = ' '.join(repr(value).split())
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST]}...'


def integer(name: str, value: Any, *, least: int, most: int | None = None) -> int:
    """Return `value` as an int if it is a whole number from `least` to `most`; numpy's whole numbers are, too."""
    allowed = f'a whole number, {least} or more' if most is None else f'a whole number from {least} to {most}'
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f'{name}={shown(value)} must be {allowed}')
    whole = int(value)
    if whole < least or (most is not None and whole > most):
        raise ValueError(f'{name}={shown(value)} must be {allowed}')
    return whole


def channel_count(name: str, value: Any, *, least: int = 1) -> int:
    """Return `value` as an int if it is a plausible number of channels, groups or splits."""
    return integer(name, value, least=least, most=MOST_CHANNELS)


def number(name: str, value: Any, *, least: float, most: float) -> float:
    """Return `value` as a float if it is a number from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f'{name}={shown(value)} must be a number from {least} to {most}')
    if not least <= (real := _as_float(value)) <= most:
        raise ValueError(f'{name}={shown(value)} must be a number from {least} to {most}')
    return real


def boolean(name: str, value: Any) -> bool:
    """Return `value` if it is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f'{name}={shown(value)} must be True or False')
    return value


def probability(name: str, value: Any) -> float:
    """Return `value` if it is a number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f'{name}={shown(value)} must be a number in [0, 1)')
    if not 0 <= (real := _as_float(value)) < 1:
        raise ValueError(f'{name}={shown(value)} must be in [0, 1): it is a probability, not a percentage')
    return real


def _as_float(value: Real) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf


def integers(
    name: str, value: Any, *, length: int, what: str, least: int = 1, most: int | None = None
) -> tuple[int, ...]:
    """Return `value` as a tuple if it holds `length` whole numbers from `least` to `most`."""
    entries = _sequence(name, value, length=length, what=what)
    return tuple(integer(f'{name}[{index}]', entry, least=least, most=most) for index, entry in enumerate(entries))


def booleans(name: str, value: Any, *, length: int, what: str) -> tuple[bool, ...]:
    """Return `value` as a tuple if it holds `length` booleans."""
    entries = _sequence(name, value, length=length, what=what)
    return tuple(boolean(f'{name}[{index}]', entry) for index, entry in enumerate(entries))


def is_sequence(value: Any) -> bool:
    """Return whether a value is a list, a tuple or the like, and no text."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview)


def _sequence(name: str, value: Any, *, length: int, what: str) -> Sequence[Any]:
    if not is_sequence(value):
        raise TypeError(f'{name}={shown(value)} must be a tuple with one entry for each {what}')
    if len(value) != length:
        given = shown(tuple(value[:_LONGEST]))
        raise ValueError(f'{name}={given} must have {length} entries, one for each {what}')
    entries: Sequence[Any] = value
    return entries


def stage_indices(name: str, value: Any, *, num_stages: int) -> tuple[int, ...]:
    """Return `value` as a tuple if it holds one or more stage indices in rising order."""
    if not is_sequence(value):
        raise TypeError(f'{name}={shown(value)} must be a tuple of stage indices from 0 to {num_stages - 1}')
    indices = tuple(integer(f'{name}[{i}]', entry, least=0, most=num_stages - 1) for i, entry in enumerate(value))
    if not indices or list(indices) != sorted(set(indices)):
        raise ValueError(f'{name}={shown(indices)} must name at least one stage, in rising order, each once')
    if indices[-1] < num_stages - 1:
        warnings.warn(
            f'{name}={indices} leaves the stages after index {indices[-1]} unused; num_stages={indices[-1] + 1} does '
            'not build them (unused parameters stop distributed training)',
            stacklevel=4,
        )
    return indices
