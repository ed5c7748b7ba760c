"""A step of the network that is the identity forwards and weakens the gradient backwards."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """Return `x`, through which `factor` times the gradient flows back.

    Without gradients it is `x` itself, so that an exported graph does not contain the step.

    Args:
        x: Any tensor.
        factor: What the gradient is multiplied by.
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
