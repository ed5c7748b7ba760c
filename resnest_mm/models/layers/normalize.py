"""Normalise feature maps, also where a norm has one value per channel, or none.

Torch refuses to normalise a single value by itself, because it has no variance. That stops a training at the first
batch that is a single small image. For a batch without images, torch's norms fail or change their running statistics.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnest_mm.models.layers.empty_batch import has_no_images, same_shape
from resnest_mm.models.layers.norm import AnyBatchNorm, AnyInstanceNorm, has_running_stats


def normalize(norm: nn.Module, x: Tensor) -> Tensor:
    """Return `norm(x)` for feature maps; see `normalize_or_fall_back`."""
    return normalize_or_fall_back(
        norm,
        x,
        reason='a feature map of 1x1 leaves a norm',
        advice='Train with larger images, with norm_eval=True, or with a group norm',
    )


def normalize_or_fall_back(norm: nn.Module, x: Tensor, *, reason: str, advice: str) -> Tensor:
    """Return `norm(x)`, computed with running statistics if there is only one value per channel.

    The fallback warns once for each reason. It does not change the running statistics, and neither does a batch without
    images.

    Args:
        norm: Any norm layer.
        x: Its input.
        reason: Why there may be only one value, for the warning.
        advice: How to avoid it, for the warning.

    Shape:
        x and output [N, C, H, W]; N may be 0.

    Raises:
        ValueError: There is one value per channel and the norm has no running statistics.
    """
    if has_no_images(x) and not waits_for_other_processes(norm):
        return same_shape(norm, x)
    if not has_single_values(norm, x):
        normalized: Tensor = norm(x)
        return normalized
    running_mean: Tensor | None = getattr(norm, 'running_mean', None)
    if running_mean is None:
        raise ValueError(
            f'{type(norm).__name__} needs more than 1 value per channel, because it has no running statistics; its '
            f'input has the shape {tuple(x.shape)}. Give it larger images or another norm, such as '
            "norm_cfg=dict(type='BN') or dict(type='GN', num_groups=1)"
        )
    if not torch.compiler.is_compiling():  # a compiled graph cannot contain a warning
        warn_of_single_value(reason, advice)
    options: Any = norm
    return F.batch_norm(
        x,
        running_mean.clone(),  # the backward pass needs these values, which a larger batch may have changed by then
        options.running_var.clone(),
        options.weight,
        options.bias,
        training=False,
        eps=options.eps,
    )


def has_single_values(norm: nn.Module, x: Tensor) -> bool:
    """Return whether a norm would compute its statistics from one value per channel."""
    if isinstance(norm, nn.GroupNorm):
        return norm.num_groups == norm.num_channels and x.shape[2] * x.shape[3] == 1
    if not isinstance(norm, AnyBatchNorm | AnyInstanceNorm) or not (norm.training or norm.running_mean is None):
        return False
    if isinstance(norm, AnyInstanceNorm):
        return x.shape[2] * x.shape[3] == 1
    return values_per_channel(norm, x) == 1


def values_per_channel(norm: nn.Module, x: Tensor) -> int:
    """Return from how many values per channel a batch norm in training computes its statistics.

    A synchronised batch norm also uses the values of the other processes.

    Args:
        norm: A batch norm.
        x: Its input, [N, C, H, W].
    """
    return x.shape[0] * x.shape[2] * x.shape[3] * _processes(norm)


def waits_for_other_processes(norm: nn.Module) -> bool:
    """Return whether the other processes wait for the statistics of this norm, which must run then."""
    return norm.training and _processes(norm) > 1


def _processes(norm: nn.Module) -> int:
    # Synchronised batch norms, torch's and ours, have this attribute; plain ones do not.
    if not hasattr(norm, 'process_group') or not torch.distributed.is_initialized():
        return 1
    group: Any = norm.process_group
    return torch.distributed.get_world_size(group)


@functools.cache
def warn_of_single_value(reason: str, advice: str) -> None:
    """Warn that running statistics are used where a norm has one value per channel, once for each reason.

    Args:
        reason: Why there is only one value.
        advice: How to avoid it.
    """
    warnings.warn(
        f'{reason} one value per channel; it uses its running statistics for such steps. {advice} to avoid it',
        stacklevel=2,
    )


class NormalizedSequential(nn.Sequential):
    """A sequence of layers whose norms also accept feature maps of 1x1 and batches without images."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of the last layer."""
        for layer in self:
            is_norm = has_running_stats(layer) or isinstance(layer, nn.GroupNorm)
            x = normalize(layer, x) if is_norm else layer(x)
        return x
