"""The arithmetic of the ZCls and glasses layouts, whose gates differ from the official ones: more than a renaming.

The tables in `tables.py` rename their modules. The functions here change the values so that the result computes the
same; they take and return tensors by this package's names. They skip blocks with wrong shapes, which `check_backbone`
reports.

Source: zhanghang1989/ResNeSt#128; ZJCV/ZCls and FrancescoSaverioZuppichini/glasses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from resnest_mm.errors import ConversionError
from resnest_mm.weights.layouts.grouped import regroup, ungroup

FIRST_ZCLS: Final = (
    'the first ZCls version, whose select has no bias, reads the gates as (radix, group, channel) though its grouped '
    'convolution writes them group by group, and applies a softmax also to a single split; the official layer computes '
    'the same only with one group and a radix of at least 2'
)
GROUPED_GLASSES: Final = (
    'glasses reads the gates as (radix, group, channel) though its grouped convolution writes them group by group: '
    'with several groups and a radix of at least 2 a gate hangs on the channels of another group, and no order of its '
    'rows makes that the official layer'
)


@dataclass(frozen=True)
class _Gate:
    block: str
    channels: int
    radix: int
    groups: int

    def __getitem__(self, name: str) -> str:
        return f'{self.block}.conv2.{name}'


def read_zcls(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a backbone of ZCls with zeros for the biases that it does not have.

    Args:
        tensors: The backbone by this package's names; not modified.

    Raises:
        ConversionError: If it is of ZCls' first version and computes something else.
    """
    result = dict(tensors)
    for layer in ('fc1', 'fc2'):
        if any(key.endswith(f'.conv2.{layer}.bias') for key in tensors):
            continue  # where some gates have this bias, it is missing in the others
        for gate in _gates(tensors):
            weight = tensors.get(gate[f'{layer}.weight'])
            if layer == 'fc2' and (gate.groups > 1 or gate.radix == 1):
                raise ConversionError(FIRST_ZCLS)
            if weight is not None and weight.dim() == 4:
                result[gate[f'{layer}.bias']] = weight.new_zeros(weight.shape[0])
    return result


def write_zcls(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a backbone without the bias before each gate's norm, which is folded into the norm's running mean.

    ZCls has no such bias. Evaluation is the same up to rounding; training, too, because a norm subtracts any constant.

    Args:
        tensors: A complete backbone by this package's names; not modified.
    """
    result = dict(tensors)
    for gate in _gates(tensors):
        bias = result.pop(gate['fc1.bias'])
        mean = result[gate['bn1.running_mean']]
        result[gate['bn1.running_mean']] = (mean.double() - bias.double()).to(mean.dtype)
    return result


def read_glasses(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a backbone of glasses with its gates in the official order.

    Args:
        tensors: The backbone by this package's names; not modified.

    Raises:
        ConversionError: If the gates compute something else.
    """
    result = dict(tensors)
    for gate in _gates(tensors):
        fc1, fc2, bias = (tensors.get(gate[name]) for name in ('fc1.weight', 'fc2.weight', 'fc2.bias'))
        if gate.groups == 1 or fc1 is None or fc2 is None or bias is None or not _are_gates(gate, fc1, fc2, bias):
            continue
        if fc1.shape[1] == gate.channels and fc2.shape[1] == fc1.shape[0]:
            result[gate['fc1.weight']] = regroup(fc1, gate.groups, name=gate['fc1.weight'])
            ordered = _swap(fc2, gate.radix, gate.groups)
            result[gate['fc2.weight']] = regroup(ordered, gate.groups, name=gate['fc2.weight'])
            result[gate['fc2.bias']] = _swap(bias, gate.radix, gate.groups)
        elif gate.radix > 1:
            raise ConversionError(GROUPED_GLASSES)
    return result


def write_glasses(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors as they are, which compute the same in glasses with one group or one split.

    Args:
        tensors: A complete backbone by this package's names; not modified.

    Raises:
        ConversionError: If there are several groups and several splits.
    """
    if any(gate.groups > 1 and gate.radix > 1 for gate in _gates(tensors)):
        raise ConversionError(GROUPED_GLASSES)
    return dict(tensors)


def write_dense_glasses(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a backbone with ungrouped gates, whose rows have the order (radix, group, channel).

    Args:
        tensors: A complete backbone by this package's names; not modified.
    """
    result = dict(tensors)
    for gate in _gates(tensors):
        result[gate['fc1.weight']] = ungroup(tensors[gate['fc1.weight']], gate.groups)
        fc2 = ungroup(tensors[gate['fc2.weight']], gate.groups)
        result[gate['fc2.weight']] = _swap(fc2, gate.groups, gate.radix)
        result[gate['fc2.bias']] = _swap(tensors[gate['fc2.bias']], gate.groups, gate.radix)
    return result


def _swap(rows: Tensor, outer: int, inner: int) -> Tensor:
    """Return the rows, ordered (outer, inner, channel), in the order (inner, outer, channel)."""
    return torch.unflatten(rows, 0, (outer, inner, -1)).transpose(0, 1).flatten(0, 2)


def _are_gates(gate: _Gate, fc1: Tensor, fc2: Tensor, bias: Tensor) -> bool:
    rows = gate.channels * gate.radix
    return (
        fc1.dim() == 4
        and fc2.dim() == 4
        and fc2.shape[0] == rows
        and tuple(bias.shape) == (rows,)
        and fc1.shape[0] % gate.groups == 0
        and fc1.shape[0] > 0
    )


def _gates(tensors: Mapping[str, Tensor]) -> Iterator[_Gate]:
    """Yield the gate of each block whose shapes show its radix and groups."""
    ending = '.conv2.conv.weight'
    for key, splits in tensors.items():
        reduce = tensors.get(f'{key.removesuffix(ending)}.conv1.weight') if key.endswith(ending) else None
        if reduce is None or reduce.dim() != 4 or splits.dim() != 4 or 0 in (*reduce.shape, *splits.shape):
            continue
        channels = reduce.shape[0]
        radix, groups = splits.shape[0] // channels, channels // splits.shape[1]
        if radix * channels == splits.shape[0] and groups * splits.shape[1] == channels and groups % radix == 0:
            yield _Gate(key.removesuffix(ending), channels, radix, groups // radix)
