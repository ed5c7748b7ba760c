"""The base class of PyTorch-Encoding's heads, which have other initial weights, dropout and loss than mmseg's."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from resnest_mm.models.arguments.checks import boolean, integer, probability
from resnest_mm.models.arguments.norms import norm_config
from resnest_mm.models.initialization import InitConfig
from resnest_mm.models.layers.norm import NormFactory
from resnest_mm.models.layers.norm_config import BATCH_NORM

LossConfig: TypeAlias = 'dict[str, Any] | Sequence[dict[str, Any]] | None'


class ConvBlock(nn.Module):
    """A convolution without bias, a norm and a ReLU, with torch's default initialisation.

    mmcv's `ConvModule` has another initialisation, which it also repeats after that of an `init_cfg`. The attribute
    names are part of every checkpoint's keys; `bn` keeps its name for norms of any type.

    Args:
        in_channels: Input channels.
        channels: Output channels.
        kernel_size: Side of the kernel, odd.
        dilation: Dilation; the padding keeps the size of the feature map.
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
        """Return the features after the ReLU."""
        return self.relu(self.bn(self.conv(x)))  # type: ignore[no-any-return]


class EncodingHead(BaseDecodeHead):
    """A head with element-wise dropout before its classifier and a loss averaged over the labelled pixels.

    The arguments are explained in the subclasses.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range, two contradict each other, or the norm cannot be built.
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
            raise TypeError(f'in_index={in_index!r} must be a whole number, the index of a feature map; -1 is the last')
        if ignore_index is not None and (isinstance(ignore_index, bool) or not isinstance(ignore_index, int)):
            raise TypeError(f'ignore_index={ignore_index!r} must be a whole number, the label to ignore, or None')
        if threshold is not None:
            threshold = probability('threshold', threshold)
            if out_channels != 1:
                raise ValueError(
                    f'threshold={threshold} has no effect with {out_channels} output channels, whose largest logit '
                    'decides; remove it, or set out_channels=1'
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
            dropout_ratio=0,  # mmseg's dropout is channel-wise
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
        """Return the logits at the resolution of the input feature map."""
        logits: Tensor = self.cls_seg(self.features(inputs[self.in_index]))
        return logits

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Return the input of the classifier, [N, channels, H, W]."""


def _outputs(out_channels: int | None, num_classes: int) -> int:
    outputs = num_classes if out_channels is None else integer('out_channels', out_channels, least=1)
    if outputs != num_classes and (outputs, num_classes) != (1, 2):
        raise ValueError(
            f'out_channels={outputs} must equal num_classes={num_classes}, or be 1 where num_classes=2; remove it'
        )
    return outputs


def _losses(loss_decode: LossConfig, outputs: int) -> dict[str, Any] | list[dict[str, Any]]:
    if loss_decode is None:
        # The softmax of a single channel is always 1 and has no gradient.
        return {'type': 'mmseg.CrossEntropyLoss', 'use_sigmoid': outputs == 1, 'avg_non_ignore': True}
    entries = [loss_decode] if isinstance(loss_decode, dict) else loss_decode
    if not isinstance(entries, list | tuple) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise TypeError(
            f'loss_decode={loss_decode!r} must be the config of a loss, such as dict(type="CrossEntropyLoss", '
            'avg_non_ignore=True), or a list of them'
        )
    return loss_decode if isinstance(loss_decode, dict) else list(entries)
