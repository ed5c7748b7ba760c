"""Merge instances and a semantic segmentation into a panoptic segmentation, by detectron2's rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from mmdet.evaluation.functional import INSTANCE_OFFSET
from mmdet.models.seg_heads.panoptic_fusion_heads.base_panoptic_fusion_head import BasePanopticFusionHead
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from resnest_mm.models.arguments.checks import integer
from resnest_mm.registry import MODELS

DEFAULTS: Final[Mapping[str, float]] = {'score_thr': 0.5, 'mask_overlap': 0.5, 'stuff_area_limit': 4096}


@MODELS.register_module()
class Detectron2FusionHead(BasePanopticFusionHead):
    """Merge instances, the one with the highest score first, and fill the free pixels with stuff.

    An instance gets the free pixels of its mask. It is skipped if its score is below `score_thr`, or if more than the
    fraction `mask_overlap` of its pixels is not free. A stuff class gets the free pixels with its label; it is skipped
    if these are fewer than `stuff_area_limit`. The other pixels are void. mmdet's `HeuristicFusionHead` has no score
    threshold, so it would use all boxes of a detector that is also evaluated on boxes.

    Args:
        num_things_classes: Number of thing classes, at least 1; their labels start at 0.
        num_stuff_classes: Number of stuff classes, at least 1; their labels follow those of things.
        test_cfg: `score_thr` and `mask_overlap`, both 0 to 1, and `stuff_area_limit` in pixels. The defaults are those
            of detectron2: 0.5, 0.5 and 4096.
        init_cfg: Initialiser config of mmengine; the head has no weights.

    Raises:
        TypeError: A value is not a number.
        ValueError: A number is out of range, or `test_cfg` has an unknown key.

    Source: detectron2-ResNeSt@54ec876, detectron2/modeling/meta_arch/panoptic_fpn.py.
    """

    def __init__(
        self,
        *,
        num_things_classes: int = 80,
        num_stuff_classes: int = 53,
        test_cfg: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        integer('num_things_classes', num_things_classes, least=1)
        integer('num_stuff_classes', num_stuff_classes, least=1)
        super().__init__(
            num_things_classes=num_things_classes,
            num_stuff_classes=num_stuff_classes,
            test_cfg=_checked(test_cfg),
            init_cfg=init_cfg,
        )

    @property
    def void(self) -> int:
        """Label of the pixels that are neither a thing nor stuff."""
        return int(self.num_classes)

    def loss(self) -> dict[str, Tensor]:
        """Return no losses, since the head has no weights."""
        return {}

    def stuff_labels(self, logits: Tensor) -> Tensor:
        """Return the stuff label of every pixel, and `void` on things.

        Args:
            logits: Logits of the semantic head, [stuff + 1, H, W]; channel 0 is things.

        Shape:
            output [H, W], int64.
        """
        classes = logits.argmax(0)
        return torch.where(classes > 0, classes + self.num_things_classes - 1, self.void)

    def predict(self, mask_results_list: Sequence[InstanceData], seg_preds_list: Sequence[Tensor]) -> list[PixelData]:
        """Return the panoptic segmentation of each image in mmdet's encoding, label + 1000 * instance number.

        Args:
            mask_results_list: `scores`, `labels` and `masks` [instances, H, W] of each image.
            seg_preds_list: Logits of the semantic head for each image, [stuff + 1, H, W]; channel 0 is things.
        """
        return [
            PixelData(sem_seg=self._fuse(instances, logits)[None])
            for instances, logits in zip(mask_results_list, seg_preds_list, strict=True)
        ]

    def _fuse(self, instances: InstanceData, logits: Tensor) -> Tensor:
        stuff = self.stuff_labels(logits)  # [H, W]
        result = torch.full_like(stuff, self.void, dtype=torch.int32)
        free = torch.ones_like(stuff, dtype=torch.bool)
        count = 0
        for index in torch.argsort(instances.scores, descending=True, stable=True).tolist():
            if instances.scores[index] < self.test_cfg['score_thr']:
                break
            mask = instances.masks[index].bool()
            area, taken = int(mask.sum()), int((mask & ~free).sum())
            if not area or taken / area > self.test_cfg['mask_overlap']:
                continue
            count += 1
            result[mask & free] = int(instances.labels[index]) + count * INSTANCE_OFFSET
            free &= ~mask
        for label, pixels in enumerate(torch.bincount(stuff[free]).tolist()):
            if pixels and pixels >= self.test_cfg['stuff_area_limit']:
                result[free & (stuff == label)] = label  # for the void label this changes nothing
        return result


def _checked(test_cfg: Mapping[str, Any] | None) -> dict[str, float]:
    settings = {**DEFAULTS, **(test_cfg or {})}
    unknown = sorted(settings.keys() - DEFAULTS.keys())
    if unknown:
        raise ValueError(f'test_cfg.panoptic has {unknown[0]!r}, which is unknown; allowed are {sorted(DEFAULTS)}')
    for name, value in settings.items():
        most = math.inf if name == 'stuff_area_limit' else 1
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise TypeError(f'test_cfg.panoptic.{name}={value!r} must be a number')
        if not 0 <= value <= most:
            raise ValueError(f'test_cfg.panoptic.{name}={value!r} is out of range; allowed is 0 to {most}')
    return settings
