"""The deep stem: three 3x3 convolutions instead of ResNet's 7x7 convolution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmcv.cnn import build_conv_layer
from torch import nn

from resnest_mm.models.layers.norm import NormFactory
from resnest_mm.models.layers.normalize import NormalizedSequential


def build_stem(
    in_channels: int, stem_channels: int, *, conv_cfg: Mapping[str, Any] | None, norm: NormFactory
) -> nn.Sequential:
    """Return the stem, which halves the resolution, without the max pool after it.

    The positions 0, 1, 3, 4, 6 and 7 are part of every checkpoint's keys.

    Args:
        in_channels: Channels of the image, at least 1.
        stem_channels: Output channels, even.
        conv_cfg: Config of the convolutions for mmcv; None means plain ones.
        norm: Builds the norms.

    Shape:
        input [N, in_channels, H, W], output [N, stem_channels, ceil(H/2), ceil(W/2)].
    """

    def conv3x3(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        conv = build_conv_layer(conv_cfg, inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
        return [conv, norm(outputs), nn.ReLU(inplace=True)]

    half = stem_channels // 2
    return NormalizedSequential(
        *conv3x3(in_channels, half, stride=2), *conv3x3(half, half, stride=1), *conv3x3(half, stem_channels, stride=1)
    )
