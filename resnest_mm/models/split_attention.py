"""Split attention: the layer that makes a ResNet a ResNeSt."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnest_mm.models.layers.norm import AnyBatchNorm, NormFactory
from resnest_mm.models.layers.normalize import normalize
from resnest_mm.models.layers.pooled_norm import normalize_pooled
from resnest_mm.models.widths import check_divisible, gate_channels


class SplitAttention(nn.Module):
    """Sum the splits of a convolution with weights from an attention over the splits.

    A grouped 3x3 convolution produces `radix` splits. They are summed with per-channel weights, which a small gate
    computes from globally pooled features.

    The attribute names are part of every checkpoint's keys. `bn0` and `bn1` keep these names for norms of any type.

    Args:
        in_channels: Input channels, divisible by `groups * radix`.
        channels: Output channels, divisible by `groups`.
        conv: A convolution from `in_channels` to `channels * radix` channels with `groups * radix` groups. Its output
            is radix-major: all groups of split 0, then all groups of split 1, ... None builds a 3x3 convolution.
        stride: Stride of the convolution built for `conv=None`, at least 1.
        dilation: Dilation of the convolution built for `conv=None`, at least 1.
        groups: Cardinal groups, at least 1.
        radix: Splits in each cardinal group, at least 1. With 1 the weights come from a sigmoid.
        reduction_factor: Divisor of the gate's hidden channels, see `gate_channels`.
        norm: Builds the norm after the convolution.
        pooled_norm: Builds the norm inside the gate, which sees one value per image and channel; None means `norm`.

    Shape:
        input [N, in_channels, H, W], output [N, channels, H', W'].

    Raises:
        ValueError: Channels are not divisible as required above.

    Source: arXiv:2004.08955 section 3; equals `SplAtConv2d` of zhanghang1989/ResNeSt@1dfb3e8.

    Example:
        >>> import torch
        >>> from resnest_mm import SplitAttention
        >>> layer = SplitAttention(64, 128, stride=2, groups=2, radix=2)
        >>> tuple(layer(torch.zeros(4, 64, 16, 24)).shape)
        (4, 128, 8, 12)
        >>> splits = torch.rand(4, 2, 128, 8, 12)
        >>> weights = layer.attend(splits)
        >>> tuple(weights.shape), bool(torch.allclose(weights.sum(dim=1), torch.ones(1)))
        ((4, 2, 128, 1, 1), True)
    """

    # The scripting compiler reads only this form of a constant under postponed annotations.
    __constants__ = ('radix', 'groups', 'bn1_is_batch_norm')

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        conv: nn.Module | None = None,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        radix: int = 2,
        reduction_factor: int = 4,
        norm: NormFactory = nn.BatchNorm2d,
        pooled_norm: NormFactory | None = None,
    ) -> None:
        super().__init__()
        hidden = gate_channels(in_channels, radix=radix, reduction_factor=reduction_factor)
        check_divisible(in_channels, channels, hidden, groups=groups, radix=radix)
        self.radix = radix
        self.groups = groups
        self.conv = conv or nn.Conv2d(
            in_channels,
            channels * radix,
            kernel_size=3,
            stride=stride,
            padding=dilation,
            dilation=dilation,
            groups=groups * radix,
            bias=False,
        )
        self.bn0 = norm(channels * radix)
        self.fc1 = nn.Conv2d(channels, hidden, kernel_size=1, groups=groups)
        self.bn1: Any = (pooled_norm or norm)(hidden)  # not every norm has the buffers of a batch norm
        self.bn1_is_batch_norm = isinstance(self.bn1, AnyBatchNorm)
        self.fc2 = nn.Conv2d(hidden, channels * radix, kernel_size=1, groups=groups)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted sum of the splits."""
        x = self.relu(self.normalize_splits(self.conv(x)))  # [N, R*C, H, W]
        splits = torch.unflatten(x, 1, (self.radix, -1))  # [N, R, C, H, W]
        gates = self.attend(splits)  # [N, R, C, 1, 1]
        total: Tensor = gates[:, 0] * splits[:, 0]  # [N, C, H, W]
        for split in range(1, self.radix):
            total = total + gates[:, split] * splits[:, split]
        return total

    def attend(self, splits: Tensor) -> Tensor:
        """Return the weight of every split in every channel.

        Shape:
            splits [N, R, C, H, W], output [N, R, C, 1, 1]. With radix 2 or more the R weights of a channel sum to 1;
            with radix 1 the single weight is in (0, 1).
        """
        context = splits.sum(1).mean((2, 3), keepdim=True)  # [N, C, 1, 1]
        hidden = self.relu(self.normalize_context(self.fc1(context)))  # [N, H, 1, 1]
        logits = self.fc2(hidden)  # [N, K*R*C/K, 1, 1], group-major: fc2 has one set of filters per cardinal group
        if self.radix == 1:
            return torch.sigmoid(logits).unsqueeze(1)
        logits = torch.unflatten(logits.flatten(1), 1, (self.groups, self.radix, -1))  # [N, K, R, C/K]
        gates = torch.softmax(logits.transpose(1, 2), dim=1)  # [N, R, K, C/K], radix-major like the splits
        return gates.flatten(2).unsqueeze(-1).unsqueeze(-1)

    def normalize_splits(self, x: Tensor) -> Tensor:
        """Return the output of `bn0`; see `normalize` for feature maps of 1x1."""
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            y: Tensor = self.bn0(x)
            return y
        else:
            return normalize(self.bn0, x)

    def normalize_context(self, context: Tensor) -> Tensor:
        """Return the output of `bn1`; see `normalize_pooled` for a training batch of one image."""
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            return self._normalize_context_in_script(context)
        else:  # scripting skips this branch only if it is written as an else
            return normalize_pooled(self.bn1, context, place='split attention', remedy='norm_eval=True')

    def _normalize_context_in_script(self, context: Tensor) -> Tensor:
        # A copy of normalize_pooled: a scripted function cannot take a module as an argument, and it cannot warn or ask
        # for other processes. The two conditions stay apart because scripting skips the body of an `if` whose condition
        # is a false constant, but compiles the rest of an `and`.
        if self.bn1_is_batch_norm:
            values = context.shape[0] * context.shape[2] * context.shape[3]
            if self.bn1.training and values == 1 and self.bn1.running_mean is not None:
                return F.batch_norm(
                    context,
                    self.bn1.running_mean,
                    self.bn1.running_var,
                    self.bn1.weight,
                    self.bn1.bias,
                    training=False,
                    eps=self.bn1.eps,
                )
        normalized: Tensor = self.bn1(context)
        return normalized
