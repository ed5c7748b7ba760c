"""Comparing the values of tensors, which those on the meta device do not have."""

from __future__ import annotations

import torch
from torch import Tensor

from resnest_mm.errors import ConversionError


def is_zero(value: Tensor) -> bool:
    """Return whether all elements are zero.

    Raises:
        ConversionError: If the tensor is on the meta device.
    """
    _require_values(value)
    return not bool(value.any())


def is_equal(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are equal element by element.

    Raises:
        ConversionError: If one of them is on the meta device.
    """
    _require_values(one, other)
    return torch.equal(one, other)


def _require_values(*tensors: Tensor) -> None:
    if any(tensor.is_meta for tensor in tensors):
        raise ConversionError(
            'this conversion depends on the values of the tensors, and these are on the meta device, without values'
        )
