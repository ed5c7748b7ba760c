"""Renaming a state dict of the official package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from resnest_mm.weights.layouts.describe_keys import describe_keys
from resnest_mm.weights.layouts.tables import LAYOUTS

T = TypeVar('T')

_OFFICIAL: Final = LAYOUTS['official']


def from_official(state: Mapping[str, T]) -> dict[str, T]:
    """Return a state dict of the official package under the names of this package, without the classifier.

    Args:
        state: Values by the names of the official `resnest` package, which timm and torch hub use too. Not modified.

    Raises:
        ValueError: If a name is not of the official layout.
    """
    kept = [key for key in state if not key.startswith(f'{_OFFICIAL.classifier}.')]
    renamed: dict[str, T] = {}
    for key, own in _OFFICIAL.own_keys(kept).items():
        if own is None:
            raise ValueError(f'{key!r} is no key of the official layout; this looks like {describe_keys(state).title}')
        renamed[own] = state[key]
    return renamed
