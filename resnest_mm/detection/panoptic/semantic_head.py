"""The semantic branch of Panoptic FPN as the ResNeSt authors trained it."""

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
"""Convolutions for the maps of stride 4, 8, 16 and 32; each but the first map's doubles its size."""
STRIDE: Final = 4
"""Of the logits, in pixels of the image."""


@MODELS.register_module()
class Detectron2SemanticHead(BaseSemanticHead):
    """One label for all things and one for each kind of stuff, from the four finest maps of a pyramid.

    The convolutions have neither norm nor bias. The loss is taken at the full resolution of the image. mmdet's
    `PanopticFPNHead` has biases, takes it at a quarter, and numbers the things last: here label 0 is "things" and stuff
    is 1 to `num_stuff_classes`. Keys of the state dict are those of mmdet's head.

    Args:
        num_stuff_classes: Kinds of stuff, at least 1; COCO has 53.
        in_channels: Channels of each map, at least 1.
        inner_channels: Channels of the convolutions, at least 1.
        loss_seg: Config of the loss, which takes logits [N, C, H, W] and labels [N, H, W] and has an `ignore_index`;
            None for the cross entropy averaged over the labelled pixels, with the weight 0.5.
        init_cfg: Initialiser config of mmengine; None for Kaiming's.

    Shape:
        input at least four maps, [N, in_channels, H / s, W / s] at the strides s of 4, 8, 16 and 32; logits
        [N, num_stuff_classes + 1, H / 4, W / 4].

    Raises:
        TypeError: A number is no integer.
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
        """Initialise the classifier as the convolutions, which start with Kaiming's normal weights by themselves."""
        super().init_weights()
        if self.init_cfg is None:
            kaiming_init(self.conv_logits)

    def forward(self, x: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return `seg_preds`, the logits, and `seg_feats`, what the classifier reads.

        Args:
            x: Maps of the pyramid, the finest first.
        """
        if len(x) < len(CONVS):
            raise ValueError(f'x has {len(x)} maps, but the head reads {len(CONVS)}; give the neck four levels or more')
        features = sum(layer(level) for layer, level in zip(self.conv_upsample_layers, x, strict=False))
        return {'seg_preds': self.conv_logits(features), 'seg_feats': features}  # [N, C, H/4, W/4]

    def loss(self, x: Sequence[Tensor], batch_data_samples: Sequence[DetDataSample]) -> dict[str, Tensor]:
        """Return `loss_seg`, taken at every pixel of the padded images.

        Args:
            x: Maps of the pyramid, the finest first.
            batch_data_samples: The labels of each image as `gt_sem_seg`: 0 for things, 1 and more for stuff, the
                loss's `ignore_index` for neither.

        Raises:
            ValueError: Labels are missing, of another size than the padded image, or out of range.
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
        maps = [sample.gt_sem_seg.sem_seg.squeeze(0).long() for sample in samples]
        given = {tuple(entry.shape) for entry in maps}
        if given != {size}:
            raise ValueError(
                f'semantic labels have the sizes {sorted(given)}, but the padded images have {size}; set pad_seg=True '
                'and pad_size_divisor=32 in the data_preprocessor'
            )
        labels = torch.stack(maps)  # [N, H, W]
        known = labels[labels != self.loss_seg.ignore_index]
        if known.numel() and not 0 <= int(known.min()) <= int(known.max()) < self.num_classes:
            raise ValueError(
                f'a semantic label is {int(known.max())}, but 0 is things, stuff is 1 to {self.num_stuff_classes} and '
                f'{self.loss_seg.ignore_index} neither; tools/make_stuff_maps.py writes such maps from panoptic ones'
            )
        return labels
