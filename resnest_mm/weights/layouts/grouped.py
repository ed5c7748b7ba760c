"""The weight of a grouped convolution as that of an ungrouped one that computes the same, and back."""

from __future__ import annotations

import torch
from torch import Tensor

from resnest_mm.errors import ConversionError
from resnest_mm.weights.layouts.values import is_zero


def ungroup(weight: Tensor, groups: int) -> Tensor:
    """Return the weight of the ungrouped convolution that computes the same; it is zero between groups.

    Args:
        weight: Weight of a convolution with `groups` groups.
        groups: Number of groups, at least 1; divides the output channels.

    Shape:
        weight [O, I/groups, ...], output [O, I, ...].
    """
    rows, columns = weight.shape[0] // groups, weight.shape[1]
    result = weight.new_zeros(weight.shape[0], columns * groups, *weight.shape[2:])
    for group in range(groups):
        result[group * rows : (group + 1) * rows, group * columns : (group + 1) * columns] = weight[
            group * rows : (group + 1) * rows
        ]
    return result


def regroup(weight: Tensor, groups: int, *, name: str) -> Tensor:
    """Return the weight of the grouped convolution that computes the same.

    Args:
        weight: Weight of an ungrouped convolution.
        groups: Number of groups, at least 1; divides the input and output channels.
        name: Name of the weight in messages.

    Shape:
        weight [O, I, ...], output [O, I/groups, ...].

    Raises:
        ConversionError: If the weight is not zero between the groups.
    """
    rows, columns = weight.shape[0] // groups, weight.shape[1] // groups
    parts = [
        weight[group * rows : (group + 1) * rows, group * columns : (group + 1) * columns] for group in range(groups)
    ]
    between = weight.clone()
    for group in range(groups):
        between[group * rows : (group + 1) * rows, group * columns : (group + 1) * columns] = 0
    if not is_zero(between):
        raise ConversionError(
            f'{name} mixes its {groups} groups, which no grouped convolution does; it was trained ungrouped'
        )
    return torch.cat(parts)
