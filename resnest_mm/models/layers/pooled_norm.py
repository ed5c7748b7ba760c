"""What a batch norm behind a global pooling does where a training batch of one image leaves it one value a channel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resnest_mm.models.split_attention import values_per_channel, warn_of_single_value


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
