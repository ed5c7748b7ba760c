"""Backbones small enough to compute with in a test."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from resnest_mm.models import ResNeSt


def tiny(depth: int = 14, **arguments: Any) -> ResNeSt:
    """Return a narrow backbone with the same weights every time."""
    torch.manual_seed(0)
    return ResNeSt(depth, **{'stem_channels': 8, 'base_channels': 16, **arguments})


def batch_norms(module: nn.Module) -> dict[str, _BatchNorm]:
    """Return all batch norms by name."""
    return {name: norm for name, norm in module.named_modules() if isinstance(norm, _BatchNorm)}


def scatter(module: nn.Module, seed: int = 0) -> None:
    """Give all norms affine parameters and running statistics that are no neutral values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for norm in batch_norms(module).values():
            norm.running_mean.normal_(0, 0.5, generator=generator)
            norm.running_var.uniform_(0.5, 2, generator=generator)
            norm.weight.uniform_(0.5, 2, generator=generator)
            norm.bias.normal_(0, 0.5, generator=generator)


def snapshot(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of the state dict."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(before: dict[str, torch.Tensor], module: nn.Module) -> set[str]:
    """Return the names in a state dict that are not what they were."""
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


def image(batch: int = 2, size: tuple[int, int] = (32, 32), channels: int = 3, seed: int = 1) -> torch.Tensor:
    """Return random images."""
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(seed))
