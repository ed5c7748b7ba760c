"""Predicting deformable offsets by grouped convolutions, as the authors do, or by ungrouped ones, as mmcv does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from torch import Tensor

from resnest_mm.errors import ConversionError
from resnest_mm.weights.layouts.grouped import regroup, ungroup
from resnest_mm.weights.layouts.names import OFFSET

_WEIGHT: Final = f'.{OFFSET}.weight'
_VALUES_PER_GROUP: Final = (27, 18)
"""Channels that a deformable group with a 3x3 kernel needs: 18 offsets, and 9 weights more in version 2."""


def expand_offsets(tensors: Mapping[str, Tensor], *, radix: int) -> dict[str, Tensor]:
    """Return a backbone that predicts its offsets by ungrouped convolutions.

    Args:
        tensors: A complete backbone by this package's names; not modified.
        radix: Its radix; not needed in this direction.
    """
    result = dict(tensors)
    for key, weight in tensors.items():
        if key.endswith(_WEIGHT):
            result[key] = ungroup(weight, _width(tensors, key) // weight.shape[1])
    return result


def group_offsets(tensors: Mapping[str, Tensor], *, radix: int) -> dict[str, Tensor]:
    """Return a backbone that predicts its offsets by convolutions with as many groups as it has deformable groups.

    Args:
        tensors: A complete backbone by this package's names; not modified.
        radix: Its radix, which is also the authors' number of deformable groups.

    Raises:
        ConversionError: If an ungrouped convolution mixes the groups, or the number of groups is not the radix.
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
