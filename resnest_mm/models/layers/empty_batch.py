"""Batches without images: the output is empty, every parameter gets a zero gradient, and no statistic changes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def has_no_images(x: Tensor) -> bool:
    """Return whether a batch is empty; never in a trace, which is made of a batch with images."""
    return not torch.jit.is_tracing() and x.shape[0] == 0  # type: ignore[attr-defined, no-untyped-call]


def same_shape(module: nn.Module, x: Tensor) -> Tensor:
    """Return the output of a module that keeps the shape of its input, for an empty batch, without running the module.

    Args:
        module: The module. Its parameters get a gradient, because distributed training waits for one of each.
        x: The empty batch.
    """
    for parameter in module.parameters():
        x = x + parameter.sum()
    return x
