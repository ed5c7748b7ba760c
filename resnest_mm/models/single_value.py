"""What a batch norm behind a global pooling does where a training batch of one image leaves it one value a channel."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


def normalize_pooled(norm: nn.Module, x: Tensor, *, place: str) -> Tensor:
    """Return `norm(x)`, or what running statistics make of `x` where a batch norm cannot train on it.

    A batch norm compares values, and one value per channel is none to compare with.

    Args:
        norm: Any norm.
        x: Pooled maps.
        place: What pools, for the warning, such as 'the DeepLabV3 head'.

    Shape:
        x and output [N, C, 1, 1].
    """
    if (
        not isinstance(norm, _BatchNorm)
        or not norm.training
        or norm.running_mean is None
        or values_per_channel(norm, x) != 1
    ):
        normalized: Tensor = norm(x)
        return normalized
    if not torch.compiler.is_compiling():  # the compiler cannot take a warning into its graph
        warn_of_single_value(place)
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps)


def values_per_channel(norm: nn.Module, x: Tensor) -> int:
    """Return how many values a batch norm in training compares, with those of other processes if it looks at them.

    Args:
        norm: A batch norm.
        x: What it is given, [N, C, H, W].
    """
    values = x.shape[0] * x.shape[2] * x.shape[3]
    # A synchronised norm, torch's or another, has a process group and sees the values of all its processes.
    if not hasattr(norm, 'process_group') or not distributed.is_initialized():
        return values
    group: Any = norm.process_group
    return values * distributed.get_world_size(group)


@functools.cache
def warn_of_single_value(place: str, *, remedy: str = '') -> None:
    """Warn, once for each place.

    Args:
        place: What pools.
        remedy: What helps besides more images, such as 'norm_eval=True'.
    """
    warnings.warn(
        f'a training batch of one image leaves the batch norm behind the global pooling of {place} one value per '
        'channel; it uses its running statistics for such steps. Train with at least two images per device'
        f'{f", or with {remedy}," if remedy else ""} to avoid it',
        stacklevel=2,
    )
