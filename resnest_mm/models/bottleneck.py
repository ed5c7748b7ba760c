"""The bottleneck: 1x1 reduce, split attention, 1x1 expand, and a shortcut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import build_conv_layer
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from resnest_mm.models.layers.norm import NormFactory
from resnest_mm.models.layers.norm_config import norm_factory
from resnest_mm.models.layers.normalize import NormalizedSequential, normalize
from resnest_mm.models.layers.plugins import BlockPlugin, attach_plugins, run_plugins
from resnest_mm.models.plan import BlockPlan, BlockSettings
from resnest_mm.models.split_attention import SplitAttention


class Bottleneck(nn.Module):
    """A residual block with a split attention instead of the 3x3 convolution.

    There is no norm after `conv2`: the split attention has its own norm and ReLU, on the splits before they are summed.

    Args:
        plan: Channels, stride and dilation of this block.
        settings: Settings that all blocks of the network share.
        plugins: Layers to insert, with their positions.

    Shape:
        input [N, plan.in_channels, H, W], output [N, plan.out_channels, ceil(H/stride), ceil(W/stride)].

    Source: `Bottleneck` of zhanghang1989/ResNeSt@1dfb3e8.
    """

    def __init__(self, plan: BlockPlan, *, settings: BlockSettings, plugins: Sequence[BlockPlugin] = ()) -> None:
        super().__init__()
        norm = norm_factory(settings.norm_cfg)
        pool = nn.AvgPool2d(kernel_size=3, stride=plan.stride, padding=1) if plan.pooled else nn.Identity()
        self.conv1 = build_conv_layer(settings.conv_cfg, plan.in_channels, plan.width, kernel_size=1, bias=False)
        self.bn1 = norm(plan.width)
        self.pool_before = pool if settings.avd_first else nn.Identity()
        self.conv2 = SplitAttention(
            plan.width,
            plan.width,
            conv=_build_split_conv(plan, settings),
            groups=settings.groups,
            radix=settings.radix,
            reduction_factor=settings.reduction_factor,
            norm=norm,
            pooled_norm=norm_factory(settings.attn_norm_cfg),
        )
        self.pool_after = nn.Identity() if settings.avd_first else pool
        self.conv3 = build_conv_layer(settings.conv_cfg, plan.width, plan.out_channels, kernel_size=1, bias=False)
        self.bn3 = norm(plan.out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _build_shortcut(plan, settings, norm) if plan.shortcut else None
        self.drop_path = DropPath(plan.drop_path) if plan.drop_path > 0 else nn.Identity()
        self.plugin_layers = attach_plugins(self, plugins, width=plan.width, out_channels=plan.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        shortcut = x if self.downsample is None else self.downsample(x)  # [N, out, H/s, W/s]
        x = self.relu(normalize(self.bn1, self.conv1(x)))  # [N, width, H, W]
        x = run_plugins(self, self.plugin_layers, 'after_conv1', x)
        x = self.conv2(self.pool_before(x))
        x = run_plugins(self, self.plugin_layers, 'after_conv2', self.pool_after(x))  # [N, width, H/s, W/s]
        x = normalize(self.bn3, self.conv3(x))  # [N, out, H/s, W/s]
        x = run_plugins(self, self.plugin_layers, 'after_conv3', x)
        y: Tensor = self.relu(self.drop_path(x) + shortcut)
        return y


def _build_split_conv(plan: BlockPlan, settings: BlockSettings) -> nn.Module:
    stride = 1 if plan.pooled else plan.stride
    arguments: dict[str, Any] = {
        'kernel_size': 3,
        'stride': stride,
        'padding': plan.dilation,
        'dilation': plan.dilation,
        'groups': settings.groups * settings.radix,
        'bias': False,
    }
    if plan.dcn:
        from resnest_mm.models.layers.deform_conv import build_deform_conv  # needs mmcv's compiled ops

        assert settings.dcn is not None
        return build_deform_conv(
            settings.dcn, plan.width, plan.width * settings.radix, radix=settings.radix, **arguments
        )
    conv: nn.Module = build_conv_layer(settings.conv_cfg, plan.width, plan.width * settings.radix, **arguments)
    return conv


def _build_shortcut(plan: BlockPlan, settings: BlockSettings, norm: NormFactory) -> nn.Sequential:
    stride = plan.stride
    pool = nn.AvgPool2d(kernel_size=stride, stride=stride, ceil_mode=True, count_include_pad=False)
    return NormalizedSequential(
        pool if stride > 1 else nn.Identity(),
        build_conv_layer(settings.conv_cfg, plan.in_channels, plan.out_channels, kernel_size=1, bias=False),
        norm(plan.out_channels),
    )
