"""Kinds of norm layers in torch: which are batch norms, and which keep running statistics.

This is the only file that imports torch's private base classes; torch has no public name for "any batch norm". If a
release renames them, the imports below fail. If a release gives its norms other base classes, norms are no longer
recognised: `norm_eval` has no effect, `with_cp` updates running statistics twice, and one image stops a training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

NormFactory: TypeAlias = Callable[[int], nn.Module]
"""Builds a norm layer for a number of channels."""

AnyBatchNorm: TypeAlias = _BatchNorm
"""Base class of all batch norms, synchronised ones included; not of instance norms."""

AnyInstanceNorm: TypeAlias = _InstanceNorm
"""Base class of all instance norms."""


def has_running_stats(module: nn.Module) -> bool:
    """Return whether a module is a norm layer that can keep a running mean and variance."""
    return isinstance(module, _BatchNorm | _InstanceNorm)
