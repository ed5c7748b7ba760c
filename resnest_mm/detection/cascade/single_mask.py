"""A base class for RoI heads with a single mask branch for all box heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdet.models.roi_heads.base_roi_head import BaseRoIHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.models.utils import empty_instances
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.structures.bbox import bbox2roi
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from resnest_mm.detection.cascade.stages import split_like


class SingleMaskRoIHead(BaseRoIHead):
    """RoI head with one extractor and one head for masks, or neither; a subclass implements the box heads."""

    def init_mask_head(self, mask_roi_extractor: Mapping[str, Any], mask_head: Mapping[str, Any]) -> None:
        """Build the mask extractor and the mask head."""
        self.mask_roi_extractor = MMDET_MODELS.build(mask_roi_extractor)
        self.mask_head = MMDET_MODELS.build(mask_head)

    def mask_losses(
        self,
        x: Sequence[Tensor],
        samples: Sequence[SamplingResult],
        ground_truth: Sequence[InstanceData],
        *,
        train_cfg: ConfigDict,
    ) -> dict[str, Tensor]:
        """Return the mask loss of all positive samples.

        Args:
            x: Feature maps of all levels.
            samples: Boxes of each image, matched to its ground truth.
            ground_truth: Ground truth of each image, with masks.
            train_cfg: Has `mask_size`, the side of a predicted mask.
        """
        logits = self._mask_forward(x, bbox2roi([found.pos_priors for found in samples]))['mask_preds']
        losses = self.mask_head.loss_and_target(logits, samples, ground_truth, train_cfg)
        mask_loss: dict[str, Tensor] = losses['loss_mask']
        return mask_loss

    def predict_mask(
        self,
        x: Sequence[Tensor],
        batch_img_metas: Sequence[Mapping[str, Any]],
        results_list: list[InstanceData],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Return the detections of each image with a mask for each box.

        Args:
            x: Feature maps of all levels.
            batch_img_metas: Size and scale of each image.
            results_list: The detections, with boxes in pixels of the resized images.
            rescale: Whether boxes and masks are scaled back to the image before it was resized.
        """
        rois = bbox2roi([found.bboxes for found in results_list])
        results: list[InstanceData]
        if len(rois):
            results = self.mask_head.predict_by_feat(
                mask_preds=split_like(self._mask_forward(x, rois)['mask_preds'], results_list),
                results_list=results_list,
                batch_img_metas=batch_img_metas,
                rcnn_test_cfg=self.test_cfg,
                rescale=rescale,
            )
        else:
            results = empty_instances(
                batch_img_metas,
                rois.device,
                task_type='mask',
                instance_results=results_list,
                mask_thr_binary=self.test_cfg['mask_thr_binary'],
            )
        return results

    def _mask_forward(self, x: Sequence[Tensor], rois: Tensor) -> dict[str, Tensor]:
        features = self.mask_roi_extractor(x[: self.mask_roi_extractor.num_inputs], rois)
        return {'mask_preds': self.mask_head(features), 'mask_feats': features}
