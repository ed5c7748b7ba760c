"""Deformable convolutions that predict their own offsets with a grouped convolution, which starts at zero.

Importing this module needs mmcv's compiled ops.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
import torch.nn.functional as F
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d, deform_conv2d, modulated_deform_conv2d
from torch import Tensor, nn

from resnest_mm.models.layers.compiled_ops import largest_step, run_compiled

VALUES_PER_TAP: Final = {'DCN': 2, 'DCNv2': 3}
"""Predicted values per kernel position: two offsets in pixels, and in version 2 a modulation."""


class OffsetConv(nn.Conv2d):
    """The convolution that predicts offsets, with one group per deformable group; its initial weights are zero.

    Source: `conv2_offset` in `resnest/d2/resnest.py` of zhanghang1989/ResNeSt@1dfb3e8.
    """

    def reset_parameters(self) -> None:
        """Set weight and bias to zero."""
        nn.init.zeros_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)


class SplitDeformConv2d(DeformConv2d):
    """Deformable convolution, version 1, that predicts its own offsets.

    The parameters have the names of mmcv's packed convolutions.

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
        """Return the convolution at the predicted offsets."""

        def sample(x: Tensor, weight: Tensor, offset: Tensor) -> Tensor:
            height, width = offset.shape[2:]
            x, offset = self._as_large_as_the_kernel(x, offset)
            y: Tensor = deform_conv2d(
                x,
                offset,
                weight,
                self.stride,
                self.padding,
                self.dilation,
                self.groups,
                self.deform_groups,
                False,
                largest_step(x.shape[0]),
            )
            return y[:, :, :height, :width]

        return run_compiled(sample, self, x, self.conv_offset(x))

    def _as_large_as_the_kernel(self, x: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        # The op refuses a smaller feature map. What lies outside of one counts as zero, so zeros change nothing. The
        # offsets are padded to the size of the output, which a stride makes smaller than the input.
        missing = [max(kernel - side, 0) for kernel, side in zip(self.kernel_size, x.shape[2:], strict=True)]
        if not any(missing):
            return x, offset
        x = F.pad(x, (0, missing[1], 0, missing[0]))
        more = [
            (x.shape[axis + 2] + 2 * self.padding[axis] - self.dilation[axis] * (self.kernel_size[axis] - 1) - 1)
            // self.stride[axis]
            + 1
            - offset.shape[axis + 2]
            for axis in (0, 1)
        ]
        return x, F.pad(offset, (0, more[1], 0, more[0]))


class SplitModulatedDeformConv2d(ModulatedDeformConv2d):
    """Deformable convolution, version 2, that predicts its own offsets and modulations in (0, 1).

    The first two thirds of the channels of `conv_offset` are offsets and the last third are modulations, regardless of
    its groups. Released weights have this order.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        conv_offset: Predicts the offsets and the logits of the modulations.
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
        """Return the modulated convolution at the predicted offsets."""
        vertical, horizontal, logits = self.conv_offset(x).chunk(3, dim=1)
        offset = torch.cat((vertical, horizontal), dim=1)

        def sample(x: Tensor, weight: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
            y: Tensor = modulated_deform_conv2d(
                x,
                offset,
                mask,
                weight,
                None,
                self.stride,
                self.padding,
                self.dilation,
                self.groups,
                self.deform_groups,
            )
            return y

        return run_compiled(sample, self, x, offset, torch.sigmoid(logits))


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
        kernel_size: Side of the kernel.
        stride: Stride.
        padding: Padding on each side.
        dilation: Dilation.
        groups: Groups of the convolution.
        bias: Must be False, as for the plain convolution that it replaces.
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
