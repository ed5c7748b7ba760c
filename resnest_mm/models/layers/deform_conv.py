"""Deformable convolutions that predict their own offsets, from zero on and by a grouped convolution.

Importing this module needs mmcv's compiled ops.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d
from torch import Tensor, nn

VALUES_PER_TAP: Final = {'DCN': 2, 'DCNv2': 3}
"""What is predicted for every kernel tap: two offsets in pixels, and in version 2 a modulation."""


class OffsetConv(nn.Conv2d):
    """Predicts offsets with as many groups as there are deformable ones; zero until trained.

    Source: `conv2_offset` in `resnest/d2/resnest.py` of zhanghang1989/ResNeSt@1dfb3e8.
    """

    def reset_parameters(self) -> None:
        """Set weight and bias to zero."""
        nn.init.zeros_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)


class SplitDeformConv2d(DeformConv2d):
    """Deformable convolution, version 1, that predicts its own offsets.

    Its parameters are called as in mmcv's packed convolutions.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        conv_offset: Predicts the offsets.
        kernel_size, stride, padding, dilation, groups, deform_groups: As in mmcv's `DeformConv2d`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        conv_offset: OffsetConv,
        kernel_size: int,
        stride: int,
        padding: int,
        dilation: int,
        groups: int,
        deform_groups: int,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, deform_groups)
        self.conv_offset = conv_offset

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution at the predicted places."""
        y: Tensor = super().forward(x, self.conv_offset(x))
        return y


class SplitModulatedDeformConv2d(ModulatedDeformConv2d):
    """Deformable convolution, version 2, that predicts its own offsets and modulations in (0, 1).

    Of what `conv_offset` predicts, the first two thirds are offsets and the last third modulations, across its groups:
    released weights have this order.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        conv_offset: Predicts the offsets and the modulations' logits.
        kernel_size, stride, padding, dilation, groups, deform_groups: As in mmcv's `ModulatedDeformConv2d`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        conv_offset: OffsetConv,
        kernel_size: int,
        stride: int,
        padding: int,
        dilation: int,
        groups: int,
        deform_groups: int,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, deform_groups, bias=False
        )
        self.conv_offset = conv_offset

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution at the predicted places, modulated."""
        vertical, horizontal, logits = self.conv_offset(x).chunk(3, dim=1)
        offset = torch.cat((vertical, horizontal), dim=1)
        y: Tensor = super().forward(x, offset, torch.sigmoid(logits))
        return y


def build_deform_conv(
    dcn: Mapping[str, Any],
    in_channels: int,
    out_channels: int,
    *,
    radix: int,
    kernel_size: int,
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
    bias: bool,
) -> nn.Module:
    """Return the deformable convolution of a split attention.

    Args:
        dcn: `dict(type='DCN' or 'DCNv2', deform_groups=...)`; `deform_groups` defaults to `radix`.
        in_channels: Input channels, divisible by `groups` and `deform_groups`.
        out_channels: Output channels, divisible by `groups`.
        radix: Splits in each cardinal group.
        kernel_size: As of the plain convolution in its place.
        stride: As of the plain convolution in its place.
        padding: As of the plain convolution in its place.
        dilation: As of the plain convolution in its place.
        groups: As of the plain convolution in its place.
        bias: Must be False, as of the plain convolution in its place.
    """
    assert not bias
    deform_groups = dcn.get('deform_groups', radix)
    conv_offset = OffsetConv(
        in_channels,
        deform_groups * VALUES_PER_TAP[dcn['type']] * kernel_size * kernel_size,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=deform_groups,
    )
    kind = SplitDeformConv2d if dcn['type'] == 'DCN' else SplitModulatedDeformConv2d
    conv: nn.Module = kind(
        in_channels,
        out_channels,
        conv_offset=conv_offset,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        deform_groups=deform_groups,
    )
    return conv
