"""Whether the values of weights can be those of a trained network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from resnest_mm.errors import CheckpointError, first_names
from resnest_mm.weights.io.contents import count_not_finite

LARGEST: Final = 1e20
"""Size above which a weight is taken for a damaged one. One changed bit of a float32 makes 1e36 of 0.01."""

_FLOATING: Final = ('weight', 'bias', 'running_mean', 'running_var')
_VARIANCE: Final = 'running_var'


def check_values(tensors: Mapping[str, Tensor], *, source: str, advice: str) -> None:
    """Refuse weights that no training leaves behind, see `find_wrong_values`.

    Args:
        tensors: Tensors by name.
        source: Where they come from, to begin the message with.
        advice: What to do, to end it with.

    Raises:
        CheckpointError: With the number of tensors of each kind and the first names.
    """
    wrong = find_wrong_values(tensors)
    if wrong:
        raise CheckpointError(f'{source} {"; ".join(wrong)}; {advice}')


def find_wrong_values(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return what is wrong with the values of tensors, in few words for each kind; nothing if they may be right.

    Wrong are NaN and Inf, numbers beyond `LARGEST`, negative running variances, and weights, biases and running
    statistics that are not floating-point. Precisions of 16 and of 8 bits are right.

    Args:
        tensors: Tensors by name.
    """
    not_floating = {
        f'{name} ({str(value.dtype).removeprefix("torch.")})'
        for name, value in tensors.items()
        if value.is_complex() or (_last(name) in _FLOATING and not value.is_floating_point())
    }
    not_finite = count_not_finite(tensors)
    negative = [name for name, value in tensors.items() if _last(name) == _VARIANCE and _is_negative(value)]
    beyond = [name for name, value in tensors.items() if name not in not_finite and _is_beyond(name, value)]
    kinds: tuple[tuple[str, list[str]], ...] = (
        ('has NaN or Inf in', [f'{name} ({count} of {tensors[name].numel()})' for name, count in not_finite.items()]),
        (f'has numbers beyond {LARGEST:g} in', beyond),
        ('has negative variances in', negative),
        ('has weights that are not floating-point in', sorted(not_floating)),
    )
    return [f'{words} {len(names)} tensors: {first_names(names)}' for words, names in kinds if names]


def _is_beyond(name: str, value: Tensor) -> bool:
    if _last(name) not in _FLOATING or not value.is_floating_point() or torch.finfo(value.dtype).max <= LARGEST:
        return False
    return bool((_comparable(value).abs() > LARGEST).any())


def _is_negative(value: Tensor) -> bool:
    return not value.is_complex() and bool((_comparable(value) < 0).any())


def _comparable(value: Tensor) -> Tensor:
    # torch cannot compare floats of 8 bits
    return value.float() if value.is_floating_point() and value.element_size() == 1 else value


def _last(name: str) -> str:
    return name.rpartition('.')[2]
