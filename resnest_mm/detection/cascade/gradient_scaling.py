"""Scale a gradient in the backward pass without changing the forward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """Return `x`, with its gradient multiplied by `factor` in the backward pass.

    If `x` needs no gradient it is returned unchanged, so an exported graph does not contain this step.

    Args:
        x: Any tensor.
        factor: Factor of the gradient.
    """
    if not x.requires_grad:
        return x
    scaled: Tensor = _ScaleGradient.apply(x, factor)  # type: ignore[no-untyped-call]
    return scaled


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.factor, None
