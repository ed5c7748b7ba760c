"""Split attention: the layer that makes a ResNet a ResNeSt."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NormFactory = Callable[[int], nn.Module]
"""Builds a normalisation layer for a number of channels."""


def gate_channels(channels: int, *, radix: int, reduction_factor: int) -> int:
    """Return the channels between the two 1x1 convolutions of the gate.

    Args:
        channels: Input channels of the layer, all cardinal groups together.
        radix: Splits in each cardinal group, at least 1.
        reduction_factor: Divisor of the gate's width, at least 1; the width never drops below 32.
    """
    return max(channels * radix // reduction_factor, 32)


class SplitAttention(nn.Module):
    """Convolve into `radix` splits and blend the splits, channel by channel, by what the whole image holds.

    The attribute names are the checkpoint contract; `bn0` and `bn1` keep theirs whatever norm is inside.

    Args:
        in_channels: Input channels, divisible by `groups * radix`.
        channels: Output channels, divisible by `groups`.
        conv: The convolution from `in_channels` to `channels * radix` maps, in radix-major order: all groups of split
            0, then all groups of split 1, ... It has `groups * radix` groups of its own. None builds a 3x3 convolution.
        stride: Stride of the convolution that is built where `conv` is None, at least 1.
        dilation: Dilation of that convolution, at least 1.
        groups: Cardinal groups, at least 1.
        radix: Splits in each cardinal group, at least 1. With 1 the attention is a sigmoid gate.
        reduction_factor: Divisor of the gate's width, see `gate_channels`.
        norm: Builds the norm behind the convolution.
        pooled_norm: Builds the norm inside the gate, which sees one value per image and channel; None means `norm`.

    Shape:
        input [N, in_channels, H, W], output [N, channels, H', W'].

    Raises:
        ValueError: Where channels cannot be divided as said above.

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
        self.bn1_is_batch_norm = isinstance(self.bn1, nn.modules.batchnorm._BatchNorm)
        self.fc2 = nn.Conv2d(hidden, channels * radix, kernel_size=1, groups=groups)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the blended splits."""
        x = self.relu(self.bn0(self.conv(x)))  # [N, R*C, H, W]
        splits = torch.unflatten(x, 1, (self.radix, -1))  # [N, R, C, H, W]
        gates = self.attend(splits)  # [N, R, C, 1, 1]
        blended: Tensor = gates[:, 0] * splits[:, 0]  # [N, C, H, W]
        for split in range(1, self.radix):
            blended = blended + gates[:, split] * splits[:, split]
        return blended

    def attend(self, splits: Tensor) -> Tensor:
        """Return the weight of every split in every channel.

        Shape:
            splits [N, R, C, H, W], output [N, R, C, 1, 1]; the R weights of a channel sum to 1, a single one (radix
            1) lies in (0, 1) by itself.
        """
        context = splits.sum(1).mean((2, 3), keepdim=True)  # [N, C, 1, 1]
        hidden = self.relu(self.normalize_context(self.fc1(context)))  # [N, H, 1, 1]
        logits = self.fc2(hidden)  # [N, K*R*C/K, 1, 1], group-major: fc2 has one set of filters per cardinal group
        if self.radix == 1:
            return torch.sigmoid(logits).unsqueeze(1)
        logits = logits.view(logits.shape[0], self.groups, self.radix, -1)  # [N, K, R, C/K]
        gates = torch.softmax(logits.transpose(1, 2), dim=1)  # [N, R, K, C/K], radix-major like the splits
        return gates.flatten(2).unsqueeze(-1).unsqueeze(-1)

    def normalize_context(self, context: Tensor) -> Tensor:
        """Return the normalised context, by running statistics where a batch holds one value per channel.

        A batch norm cannot train on one value per channel, which is what pooling leaves of a batch of one image.
        """
        # Scripting skips what stands under a constant that is False, but not what follows it behind an `and`.
        if self.bn1_is_batch_norm:  # noqa: SIM102
            if self.bn1.training and self._values_per_channel(context) == 1 and self.bn1.running_mean is not None:
                # Neither compiler can take a warning into its graph.
                if not torch.jit.is_scripting() and not torch.compiler.is_compiling():  # type: ignore[attr-defined]
                    warn_of_single_value('split attention', remedy='norm_eval=True')
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

    def _values_per_channel(self, context: Tensor) -> int:
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            return context.shape[0] * context.shape[2] * context.shape[3]
        else:  # scripting leaves the branch out only where it is an else
            return values_per_channel(self.bn1, context)


def values_per_channel(norm: nn.Module, x: Tensor) -> int:
    """Return how many values a batch norm in training compares, with those of other processes if it looks at them.

    Args:
        norm: A batch norm.
        x: What it is given, [N, C, H, W].
    """
    values = x.shape[0] * x.shape[2] * x.shape[3]
    # A synchronised norm, torch's or another, has a process group and sees the values of all its processes.
    if not hasattr(norm, 'process_group') or not torch.distributed.is_initialized():
        return values
    group: Any = norm.process_group
    return values * torch.distributed.get_world_size(group)


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


def check_divisible(in_channels: int, channels: int, hidden: int, *, groups: int, radix: int) -> None:
    """Refuse channels that cannot be divided into groups and splits.

    Args:
        in_channels: Input channels of the layer, at least 1.
        channels: Output channels.
        hidden: Channels between the two 1x1 convolutions of the gate.
        groups: Cardinal groups.
        radix: Splits in each cardinal group.

    Raises:
        ValueError: On the first one that cannot.
    """
    for name, value, divisor, what in (
        ('input channels', in_channels, groups * radix, 'groups * radix'),
        ('output channels', channels, groups, 'groups'),
        ('hidden channels of the gate', hidden, groups, 'groups'),
    ):
        if value < 1 or value % divisor:
            raise ValueError(
                f'split attention cannot divide its {value} {name} by {what}={divisor}; '
                'change groups, radix, base_width, base_channels or reduction_factor'
            )
