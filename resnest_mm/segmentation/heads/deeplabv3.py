"""The DeepLabV3 head of the paper's segmentation models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from resnest_mm.models.arguments.checks import integers, probability
from resnest_mm.models.initialization import InitConfig
from resnest_mm.models.layers.norm_config import norm_factory, pooled_norm_cfg
from resnest_mm.models.layers.pooled_norm import normalize_pooled
from resnest_mm.registry import MODELS
from resnest_mm.segmentation.heads.encoding import ConvBlock, EncodingHead, LossConfig


class ImagePool(ConvBlock):
    """Global average pooling of the image, then a 1x1 convolution, norm and ReLU.

    Args:
        in_channels: Input channels.
        channels: Output channels.
        norm: Builds the norm, which sees one value per image and channel.

    Shape:
        input [N, in_channels, H, W], output [N, channels, 1, 1].
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return one feature vector for each image."""
        pooled = self.conv(x.mean((2, 3), keepdim=True))
        return self.relu(normalize_pooled(self.bn, pooled, place='the DeepLabV3 head'))  # type: ignore[no-any-return]


@MODELS.register_module()
class DeepLabV3Head(EncodingHead):
    """Atrous spatial pyramid pooling with a 1x1 projection, then a 3x3 convolution and the classifier.

    mmseg's `ASPPHead` has no projection, twice the channels, another order of the branches and channel-wise dropout.

    Args:
        in_channels: Channels of the input feature map, at least 1; 2048 for the last one of a full ResNeSt.
        num_classes: Classes, at least 1.
        channels: Channels of every layer before the classifier, at least 1.
        rates: Dilations of the three 3x3 branches, at least 1 each.
        in_index: Index of the input feature map; -1 is the last.
        norm_cfg: Config of all norms; None means `dict(type='BN', requires_grad=True)`. If it is not a batch norm, the
            norm after the global pooling is a group norm with one group.
        dropout_ratio: Drop probability in [0, 1) of each value before the classifier.
        project_dropout_ratio: Drop probability in [0, 1) of each channel after the projection.
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

    Source: arXiv:1706.05587; zhanghang1989/PyTorch-Encoding@ac74841, encoding/models/sseg/deeplab.py.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        channels: int = 256,
        rates: Sequence[int] = (12, 24, 36),
        in_index: int = -1,
        norm_cfg: Mapping[str, Any] | None = None,
        dropout_ratio: float = 0.1,
        project_dropout_ratio: float = 0.5,
        align_corners: bool = True,
        loss_decode: LossConfig = None,
        ignore_index: int | None = 255,
        sampler: dict[str, Any] | None = None,
        out_channels: int | None = None,
        threshold: float | None = None,
        init_cfg: InitConfig = None,
    ) -> None:
        rates = integers('rates', rates, length=3, what='3x3 branch')
        project_dropout_ratio = probability('project_dropout_ratio', project_dropout_ratio)
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
        norm = norm_factory(self.norm_cfg)
        self.branches = nn.ModuleList(
            [
                ConvBlock(in_channels, channels, kernel_size=1, norm=norm),
                *(ConvBlock(in_channels, channels, kernel_size=3, dilation=rate, norm=norm) for rate in rates),
            ]
        )
        self.image_pool = ImagePool(
            in_channels, channels, kernel_size=1, norm=norm_factory(pooled_norm_cfg(self.norm_cfg))
        )
        self.project = ConvBlock(5 * channels, channels, kernel_size=1, norm=norm)
        self.project_dropout = nn.Dropout2d(project_dropout_ratio)
        self.convs = nn.Sequential(ConvBlock(channels, channels, kernel_size=3, norm=norm))

    def features(self, x: Tensor) -> Tensor:
        """Return the input of the classifier, [N, channels, H, W]."""
        # Bilinear upsampling of a single value repeats it, with and without align_corners.
        pooled = self.image_pool(x).expand(-1, -1, *x.shape[2:])  # [N, C, H, W]
        pyramid = torch.cat([*(branch(x) for branch in self.branches), pooled], dim=1)  # [N, 5*C, H, W]
        features: Tensor = self.convs(self.project_dropout(self.project(pyramid)))  # [N, C, H, W]
        return features
