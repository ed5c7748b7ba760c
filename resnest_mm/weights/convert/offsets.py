"""Predicting deformable offsets: by grouped convolutions, as the authors do, or by mmcv's ungrouped ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from torch import Tensor

from resnest_mm.errors import ConversionError
from resnest_mm.weights.layouts.grouped import regroup, ungroup
from resnest_mm.weights.layouts.names import OFFSET

_WEIGHT: Final = f'.{OFFSET}.weight'
_VALUES_PER_GROUP: Final = (27, 18)
"""Offset channels of a deformable group with a 3x3 kernel, in versions 2 and 1."""


def expand_offsets(tensors: Mapping[str, Tensor], *, radix: int) -> dict[str, Tensor]:
    """Return a backbone whose offsets are predicted by ungrouped convolutions.

    Args:
        tensors: A checked backbone under this package's names.
        radix: Its radix, which the authors take as the number of deformable groups.
    """
    result = dict(tensors)
    for key, weight in tensors.items():
        if key.endswith(_WEIGHT):
            result[key] = ungroup(weight, _width(tensors, key) // weight.shape[1])
    return result


def group_offsets(tensors: Mapping[str, Tensor], *, radix: int) -> dict[str, Tensor]:
    """Return a backbone whose offsets are predicted by as many groups as there are deformable ones.

    Args:
        tensors: A checked backbone under this package's names.
        radix: Its radix, which the authors take as the number of deformable groups.

    Raises:
        ConversionError: Where an ungrouped convolution mixes the groups, or their number is not the radix.
    """
    result = dict(tensors)
    for key, weight in tensors.items():
        if not key.endswith(_WEIGHT) or weight.shape[1] != _width(tensors, key):
            continue
        if weight.shape[0] not in [radix * values for values in _VALUES_PER_GROUP]:
            raise ConversionError(
                f'{key} predicts {weight.shape[0]} values, and {radix} deformable groups need '
                f'{" or ".join(str(radix * values) for values in _VALUES_PER_GROUP)}'
            )
        result[key] = regroup(weight, radix, name=key)
    return result


def _width(tensors: Mapping[str, Tensor], key: str) -> int:
    return tensors[f'{key.removesuffix(_WEIGHT)}.conv1.weight'].shape[0]
