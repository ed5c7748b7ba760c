"""Normalise globally pooled features, also in a training batch of one image."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnest_mm.models.layers.norm import AnyBatchNorm


def normalize_pooled(norm: nn.Module, x: Tensor, *, place: str, remedy: str = '') -> Tensor:
    """Return `norm(x)`, computed with running statistics if a training batch has only one value per channel.

    Torch refuses to train a batch norm on a single value, which has no variance. The fallback warns once for each place
    and leaves the running statistics unchanged.

    Args:
        norm: Any norm layer.
        x: Pooled features.
        place: Where the pooling is, for the warning, such as 'the DeepLabV3 head'.
        remedy: An argument that avoids the fallback, for the warning, such as 'norm_eval=True'.

    Shape:
        x and output [N, C, 1, 1].

    Raises:
        ValueError: From torch, if there is one value per channel and the batch norm has no running statistics.
    """
    if (
        not isinstance(norm, AnyBatchNorm)
        or not norm.training
        or norm.running_mean is None
        or values_per_channel(norm, x) != 1
    ):
        normalized: Tensor = norm(x)
        return normalized
    if not torch.compiler.is_compiling():  # a compiled graph cannot contain a warning
        warn_of_single_value(place, remedy=remedy)
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps)


def values_per_channel(norm: nn.Module, x: Tensor) -> int:
    """Return from how many values per channel a batch norm in training computes its statistics.

    A synchronised batch norm also uses the values of the other processes.

    Args:
        norm: A batch norm.
        x: Its input, [N, C, H, W].
    """
    values = x.shape[0] * x.shape[2] * x.shape[3]
    # Synchronised batch norms, torch's and ours, have this attribute; plain ones do not.
    if not hasattr(norm, 'process_group') or not torch.distributed.is_initialized():
        return values
    group: Any = norm.process_group
    return values * torch.distributed.get_world_size(group)


@functools.cache
def warn_of_single_value(place: str, *, remedy: str = '') -> None:
    """Warn that running statistics are used for a batch of one image, once for each place.

    Args:
        place: Where the pooling is.
        remedy: An argument that avoids the fallback, such as 'norm_eval=True'.
    """
    warnings.warn(
        f'a training batch of one image leaves the batch norm after the global pooling of {place} one value per '
        'channel; it uses its running statistics for such steps. Train with at least two images per device'
        f'{f", or with {remedy}," if remedy else ""} to avoid it',
        stacklevel=2,
    )
