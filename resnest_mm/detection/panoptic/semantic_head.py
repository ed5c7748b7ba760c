"""The semantic head of Panoptic FPN, as the ResNeSt authors trained it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from mmdet.models.layers import ConvUpsample
from mmdet.models.seg_heads.base_semantic_head import BaseSemanticHead
from mmdet.structures import DetDataSample
from mmengine.model import ModuleList, kaiming_init
from torch import Tensor, nn
from torch.nn import functional as F

from resnest_mm.models.arguments.checks import integer
from resnest_mm.registry import MODELS

CONVS: Final = (1, 1, 2, 3)
"""Number of convolutions for the feature maps of stride 4, 8, 16 and 32; after stride 4 each doubles the resolution."""
STRIDE: Final = 4
"""Stride of the logits in pixels of the image."""


@MODELS.register_module()
class Detectron2SemanticHead(BaseSemanticHead):
    """Predict one class for all things and one for each stuff class, from the four finest feature maps of an FPN.

    Label 0 is "things", and stuff has the labels 1 to `num_stuff_classes`. The convolutions have neither norm nor bias.
    The loss is computed at the full resolution of the image. mmdet's `PanopticFPNHead` has biases, computes the loss at
    a quarter of the resolution, and has the label of things last. The keys of the state dict are those of mmdet's head.

    Args:
        num_stuff_classes: Number of stuff classes, at least 1; COCO has 53.
        in_channels: Channels of each feature map, at least 1.
        inner_channels: Channels of the convolutions, at least 1.
        loss_seg: Config of a loss for logits [N, C, H, W] and labels [N, H, W] with an `ignore_index`. None means cross
            entropy averaged over the labelled pixels, with weight 0.5.
        init_cfg: Initialiser config of mmengine; None means Kaiming.

    Shape:
        input at least four feature maps [N, in_channels, H / s, W / s] with the strides s of 4, 8, 16 and 32; logits
        [N, num_stuff_classes + 1, H / 4, W / 4].

    Raises:
        TypeError: A number is not an integer.
        ValueError: A number is below 1.

    Source: detectron2-ResNeSt@54ec876, detectron2/modeling/meta_arch/semantic_seg.py.
    """

    def __init__(
        self,
        *,
        num_stuff_classes: int = 53,
        in_channels: int = 256,
        inner_channels: int = 128,
        loss_seg: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        integer('num_stuff_classes', num_stuff_classes, least=1)
        integer('in_channels', in_channels, least=1)
        integer('inner_channels', inner_channels, least=1)
        if loss_seg is None:
            loss_seg = dict(type='mmdet.CrossEntropyLoss', ignore_index=255, avg_non_ignore=True, loss_weight=0.5)
        super().__init__(
            num_classes=num_stuff_classes + 1, seg_rescale_factor=1 / STRIDE, loss_seg=loss_seg, init_cfg=init_cfg
        )
        self.num_stuff_classes = num_stuff_classes
        self.conv_upsample_layers = ModuleList(
            ConvUpsample(
                in_channels,
                inner_channels,
                num_layers=convs,
                num_upsample=convs if level else 0,
                norm_cfg=None,
                bias=False,
            )
            for level, convs in enumerate(CONVS)
        )
        self.conv_logits = nn.Conv2d(inner_channels, self.num_classes, 1)

    def init_weights(self) -> None:
        """Initialise the classifier with Kaiming's normal weights, like the convolutions."""
        super().init_weights()
        if self.init_cfg is None:
            kaiming_init(self.conv_logits)

    def forward(self, x: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return `seg_preds`, the logits, and `seg_feats`, the input of the classifier.

        Args:
            x: Feature maps of the FPN, the finest first.
        """
        if len(x) < len(CONVS):
            raise ValueError(f'x has {len(x)} feature maps and must have {len(CONVS)} or more: num_outs of the neck')
        features = sum(layer(level) for layer, level in zip(self.conv_upsample_layers, x, strict=False))
        return {'seg_preds': self.conv_logits(features), 'seg_feats': features}  # [N, C, H/4, W/4]

    def loss(self, x: Sequence[Tensor], batch_data_samples: Sequence[DetDataSample]) -> dict[str, Tensor]:
        """Return `loss_seg`, computed at the full resolution of the padded images.

        Args:
            x: Feature maps of the FPN, the finest first.
            batch_data_samples: The `gt_sem_seg` of each image: 0 for things, 1 or more for stuff, `ignore_index` for
                neither.

        Raises:
            ValueError: Labels are missing, out of range, or do not have the size of the padded image.
        """
        logits = self(x)['seg_preds']
        labels = self._labels(batch_data_samples, size=(STRIDE * logits.shape[-2], STRIDE * logits.shape[-1]))
        whole = F.interpolate(logits, scale_factor=STRIDE, mode='bilinear', align_corners=False)  # [N, C, H, W]
        return {'loss_seg': self.loss_seg(whole, labels)}

    def _labels(self, samples: Sequence[DetDataSample], *, size: tuple[int, int]) -> Tensor:
        if not all('gt_sem_seg' in sample for sample in samples):
            raise ValueError(
                'an image has no semantic labels; set data_prefix.seg, and with_seg=True in LoadAnnotations'
            )
        labels_by_image = [sample.gt_sem_seg.sem_seg.squeeze(0).long() for sample in samples]
        given = {tuple(entry.shape) for entry in labels_by_image}
        if given != {size}:
            raise ValueError(
                f'semantic labels have the sizes {sorted(given)}, but the padded images have {size}; set pad_seg=True '
                'and pad_size_divisor=32 in the data_preprocessor'
            )
        labels = torch.stack(labels_by_image)  # [N, H, W]
        known = labels[labels != self.loss_seg.ignore_index]
        if known.numel() and not 0 <= int(known.min()) <= int(known.max()) < self.num_classes:
            raise ValueError(
                f'a semantic label is {int(known.max())}, but 0 is things, stuff is 1 to {self.num_stuff_classes} and '
                f'{self.loss_seg.ignore_index} neither; tools/make_stuff_maps.py writes such label maps'
            )
        return labels
