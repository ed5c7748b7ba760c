"""The plain head with which the paper's segmentation models were trained, alone or beside another one."""

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
    """One 3x3 convolution and the classifier; as `auxiliary_head` its official loss weight is 0.2.

    mmseg's `FCNHead` with `num_convs=1, concat_input=False` predicts the same but drops out whole channels.

    Args:
        in_channels: Channels of the map that is read, at least 1; of a full ResNeSt 2048 for the last, 1024 for the
            one before it, which the auxiliary head reads.
        channels: Channels before the classifier, at least 1; officially a quarter of `in_channels`.
        num_classes: Classes, at least 1.
        in_index: Which of the maps is read; -1 is the last, -2 the one before it.
        norm_cfg: Config of the norm; None means `dict(type='BN', requires_grad=True)`.
        dropout_ratio: Drop probability in [0, 1) of every value before the classifier.
        align_corners: Whether corner pixels keep their place when logits are resized; also mmseg's segmentors use it.
        loss_decode: Config of the loss or losses; None means cross entropy averaged over the pixels that are not
            ignored.
        ignore_index: Label of the pixels without loss, or None.
        sampler: Config of mmseg's pixel sampler; None means all pixels.
        out_channels: Channels of the logits: None means `num_classes`, 1 tells two classes apart by a sigmoid.
        threshold: Probability in [0, 1) above which a single channel means its class; None means 0.3.
        init_cfg: Initialisation for mmengine; None means PyTorch's own of every layer.

    Shape:
        input maps of which the one at `in_index` is [N, in_channels, H, W], output [N, out_channels, H, W].

    Raises:
        TypeError: On an unknown keyword or a value of the wrong type.
        ValueError: On a value out of range, a contradiction, or a norm that cannot be honoured.

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
        """Return what the classifier reads, [N, channels, H, W]."""
        maps: Tensor = self.convs(x)
        return maps
