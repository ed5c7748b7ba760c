"""One panoptic map out of instances and a semantic map, by detectron2's rules."""

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
    """Instances above a score, the best first, and stuff on the pixels that they leave.

    An instance is left out where its score is below `score_thr`, or where more than the share `mask_overlap` of its
    pixels is taken. It gets the pixels that are free. A kind of stuff gets the free pixels of its label, unless they
    are fewer than `stuff_area_limit`. The rest is void. mmdet's `HeuristicFusionHead` has no least score, so that it
    takes every box of a detector that is also evaluated on boxes.

    Args:
        num_things_classes: Classes of things, at least 1; they are the labels 0 and more.
        num_stuff_classes: Classes of stuff, at least 1; they are the labels behind those of the things.
        test_cfg: `score_thr` and `mask_overlap`, both 0 to 1, and `stuff_area_limit` in pixels; what is missing has
            detectron2's values 0.5, 0.5 and 4096.
        init_cfg: Initialiser config of mmengine; there is nothing to initialise.

    Raises:
        TypeError: A number is not one.
        ValueError: A number is out of range, or `test_cfg` has another key.

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
        """Return nothing: there is nothing to train."""
        return {}

    def stuff_labels(self, logits: Tensor) -> Tensor:
        """Return the label of stuff of every pixel, and `void` where it is a thing.

        Args:
            logits: Of the semantic head, things first, [stuff + 1, H, W].

        Shape:
            output [H, W], int64.
        """
        kinds = logits.argmax(0)
        return torch.where(kinds > 0, kinds + self.num_things_classes - 1, self.void)

    def predict(self, mask_results_list: Sequence[InstanceData], seg_preds_list: Sequence[Tensor]) -> list[PixelData]:
        """Return the panoptic map of each image, in mmdet's numbers: label + 1000 x instance, which counts from 1.

        Args:
            mask_results_list: `scores`, `labels` and `masks` [instances, H, W] of each image.
            seg_preds_list: Logits of the semantic head, things first, [stuff + 1, H, W] of each image.
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
                result[free & (stuff == label)] = label  # where it is void, nothing changes
        return result


def _checked(test_cfg: Mapping[str, Any] | None) -> dict[str, float]:
    settings = {**DEFAULTS, **(test_cfg or {})}
    unknown = sorted(settings.keys() - DEFAULTS.keys())
    if unknown:
        raise ValueError(f'test_cfg.panoptic has {unknown[0]!r}, which is not known; known are {sorted(DEFAULTS)}')
    for name, value in settings.items():
        most = math.inf if name == 'stuff_area_limit' else 1
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise TypeError(f'test_cfg.panoptic.{name}={value!r} is no number')
        if not 0 <= value <= most:
            raise ValueError(f'test_cfg.panoptic.{name}={value!r} is out of range; allowed is 0 to {most}')
    return settings
