"""The FCN head of the paper's segmentation models, alone or as an auxiliary head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from resnest_mm.models.initialization import InitConfig
from resnest_mm.models.layers.norm_config import norm_factory
from resnest_mm.registry import MODELS
from resnest_mm.segmentation.heads.encoding import ConvBlock, EncodingHead, LossConfig


@MODELS.register_module()
class FCNHead(EncodingHead):
    """One 3x3 convolution and the classifier; the official loss weight as `auxiliary_head` is 0.2.

    mmseg's `FCNHead` with `num_convs=1, concat_input=False` has the same layers but channel-wise dropout.

    Args:
        in_channels: Channels of the input feature map, at least 1. A full ResNeSt has 2048 in the last one and 1024 in
            the one before, which is the input of the auxiliary head.
        channels: Channels before the classifier, at least 1; a quarter of `in_channels` in the official models.
        num_classes: Classes, at least 1.
        in_index: Index of the input feature map; -1 is the last, -2 the one before.
        norm_cfg: Config of the norm; None means `dict(type='BN', requires_grad=True)`.
        dropout_ratio: Drop probability in [0, 1) of each value before the classifier.
        align_corners: Whether resizing aligns the centres of the corner pixels; mmseg's segmentors use it, too.
        loss_decode: Config of the loss or losses; None means cross entropy averaged over the labelled pixels.
        ignore_index: Label of ignored pixels, or None.
        sampler: Config of a pixel sampler of mmseg; None means all pixels.
        out_channels: Channels of the logits. None means `num_classes`; 1 means two classes with a sigmoid.
        threshold: With one output channel, probability in [0, 1) above which a pixel has class 1; None means 0.3.
        init_cfg: Initialisation for mmengine; None means torch's default for every layer.

    Shape:
        input feature maps, the one at `in_index` [N, in_channels, H, W]; output [N, out_channels, H, W].

    Raises:
        TypeError: A keyword is unknown, or an argument has the wrong type.
        ValueError: An argument is out of range, two contradict each other, or the norm cannot be built.

    Source: arXiv:1411.4038; zhanghang1989/PyTorch-Encoding@ac74841, encoding/models/sseg/fcn.py.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int,
        num_classes: int,
        in_index: int = -1,
        norm_cfg: Mapping[str, Any] | None = None,
        dropout_ratio: float = 0.1,
        align_corners: bool = True,
        loss_decode: LossConfig = None,
        ignore_index: int | None = 255,
        sampler: dict[str, Any] | None = None,
        out_channels: int | None = None,
        threshold: float | None = None,
        init_cfg: InitConfig = None,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=channels,
            num_classes=num_classes,
            out_channels=out_channels,
            threshold=threshold,
            in_index=in_index,
            norm_cfg=norm_cfg,
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            loss_decode=loss_decode,
            ignore_index=ignore_index,
            sampler=sampler,
            init_cfg=init_cfg,
        )
        self.convs = nn.Sequential(ConvBlock(in_channels, channels, kernel_size=3, norm=norm_factory(self.norm_cfg)))

    def features(self, x: Tensor) -> Tensor:
        """Return the input of the classifier, [N, channels, H, W]."""
        features: Tensor = self.convs(x)
        return features
