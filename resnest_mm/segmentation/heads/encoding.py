"""What PyTorch-Encoding's heads have in common and mmseg's have not: initial weights, dropout and loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from resnest_mm.models.arguments.checks import boolean, integer, probability
from resnest_mm.models.arguments.layer_configs import norm_config
from resnest_mm.models.initialization import InitConfig
from resnest_mm.models.layers.norm import NormFactory
from resnest_mm.models.layers.norm_config import BATCH_NORM

LossConfig: TypeAlias = 'dict[str, Any] | Sequence[dict[str, Any]] | None'


class ConvBlock(nn.Module):
    """A convolution without bias, a norm and a ReLU, which start as PyTorch's layers do.

    mmcv's `ConvModule` starts otherwise, and starts anew after an `init_cfg` was followed. The attribute names are the
    checkpoint contract; `bn` keeps its whatever norm is inside.

    Args:
        in_channels: Input channels.
        channels: Output channels.
        kernel_size: Side of the kernel, odd.
        dilation: Distance of its taps; the padding keeps the size of the maps.
        norm: Builds the norm.

    Shape:
        input [N, in_channels, H, W], output [N, channels, H, W].
    """

    def __init__(
        self, in_channels: int, channels: int, *, kernel_size: int, dilation: int = 1, norm: NormFactory
    ) -> None:
        super().__init__()
        padding = dilation * (kernel_size // 2)
        self.conv = nn.Conv2d(in_channels, channels, kernel_size, padding=padding, dilation=dilation, bias=False)
        self.bn = norm(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the rectified maps."""
        return self.relu(self.bn(self.conv(x)))  # type: ignore[no-any-return]


class EncodingHead(BaseDecodeHead):
    """A head with element-wise dropout before its classifier, PyTorch's initial weights, and a mean over known pixels.

    The arguments are those of the heads that derive from it, which say what they mean.

    Raises:
        TypeError: On a value of the wrong type.
        ValueError: On a value out of range, a contradiction, or a norm that cannot be honoured.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int,
        num_classes: int,
        out_channels: int | None,
        threshold: float | None,
        in_index: int,
        norm_cfg: Mapping[str, Any] | None,
        dropout_ratio: float,
        align_corners: bool,
        loss_decode: LossConfig,
        ignore_index: int | None,
        sampler: dict[str, Any] | None,
        init_cfg: InitConfig,
    ) -> None:
        in_channels = integer('in_channels', in_channels, least=1)
        channels = integer('channels', channels, least=1)
        num_classes = integer('num_classes', num_classes, least=1)
        out_channels = _outputs(out_channels, num_classes)
        if isinstance(in_index, bool) or not isinstance(in_index, int):
            raise TypeError(f'in_index={in_index!r} must be a whole number, which counts maps; -1 is the last')
        if ignore_index is not None and (isinstance(ignore_index, bool) or not isinstance(ignore_index, int)):
            raise TypeError(f'ignore_index={ignore_index!r} must be a whole number, the label to ignore, or None')
        if threshold is not None:
            threshold = probability('threshold', threshold)
            if out_channels != 1:
                raise ValueError(
                    f'threshold={threshold} has no effect on {out_channels} output channels, of which the largest '
                    'wins; remove it, or say out_channels=1'
                )
        dropout_ratio = probability('dropout_ratio', dropout_ratio)
        align_corners = boolean('align_corners', align_corners)
        norm_cfg = BATCH_NORM if norm_cfg is None else norm_cfg
        norm_cfg = norm_config('norm_cfg', norm_cfg, channels=[channels], size=2)
        super().__init__(
            in_channels,
            channels,
            num_classes=num_classes,
            out_channels=out_channels,
            threshold=threshold,
            dropout_ratio=0,  # mmseg's dropout takes out whole channels
            norm_cfg=dict(norm_cfg),
            in_index=in_index,
            loss_decode=_losses(loss_decode, out_channels),
            ignore_index=ignore_index,
            sampler=sampler,
            align_corners=align_corners,
            init_cfg=init_cfg,
        )
        self.dropout_ratio = dropout_ratio
        self.dropout = nn.Dropout(dropout_ratio) if dropout_ratio else None

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the logits of every class at the size of the map that the head reads."""
        logits: Tensor = self.cls_seg(self.features(inputs[self.in_index]))
        return logits

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Return what the classifier reads, [N, channels, H, W]."""


def _outputs(out_channels: int | None, num_classes: int) -> int:
    outputs = num_classes if out_channels is None else integer('out_channels', out_channels, least=1)
    if outputs != num_classes and (outputs, num_classes) != (1, 2):
        raise ValueError(
            f'out_channels={outputs} must equal num_classes={num_classes}, or be 1 where num_classes=2; remove it'
        )
    return outputs


def _losses(loss_decode: LossConfig, outputs: int) -> dict[str, Any] | list[dict[str, Any]]:
    if loss_decode is None:
        # The softmax of a single channel is 1 and would teach nothing.
        return {'type': 'mmseg.CrossEntropyLoss', 'use_sigmoid': outputs == 1, 'avg_non_ignore': True}
    entries = [loss_decode] if isinstance(loss_decode, dict) else loss_decode
    if not isinstance(entries, list | tuple) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise TypeError(
            f'loss_decode={loss_decode!r} must be the config of a loss, such as dict(type="CrossEntropyLoss", '
            'avg_non_ignore=True), or a list of them'
        )
    return loss_decode if isinstance(loss_decode, dict) else list(entries)
