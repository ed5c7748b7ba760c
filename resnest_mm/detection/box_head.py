"""The box head of the authors' detectors, with detectron2's last steps in a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdet.models.roi_heads.bbox_heads import Shared4Conv1FCBBoxHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.structures.bbox import scale_boxes
from mmengine.structures import InstanceData
from torch import Tensor

from resnest_mm.registry import MODELS


@MODELS.register_module()
class Detectron2Shared4Conv1FCBBoxHead(Shared4Conv1FCBBoxHead):
    """`Shared4Conv1FCBBoxHead` whose detections all have an area.

    NMS and the choice of the best boxes take place at the size of the network's input. The chosen boxes are then scaled
    to the original image and clipped to it, and those without area are dropped; no other boxes take their places. mmdet
    scales before NMS and keeps boxes without area. In training, a batch without any box has a classification loss of
    zero; mmdet then has no such loss, and the processes of a distributed training wait for each other. Everything else
    is that of `Shared4Conv1FCBBoxHead`: arguments, layers, losses and keys of the state dict.

    Source: detectron2-ResNeSt@54ec876, detectron2/modeling/postprocessing.py.
    """

    def loss_and_target(
        self,
        cls_score: Tensor,
        bbox_pred: Tensor,
        rois: Tensor,
        sampling_results: Sequence[SamplingResult],
        rcnn_train_cfg: Mapping[str, Any],
        concat: bool = True,
        reduction_override: str | None = None,
    ) -> dict[str, Any]:
        """Return the losses as `loss_bbox`, and the targets as `bbox_targets`.

        Args:
            cls_score: Logits of the boxes of all images, [N, classes + 1].
            bbox_pred: Deltas of these boxes, [N, 4] or [N, 4 * classes].
            rois: The boxes with the index of their image, [N, 5].
            sampling_results: Boxes of each image, matched to its ground truth.
            rcnn_train_cfg: Has `pos_weight`.
            concat: Whether the targets of all images are joined.
            reduction_override: Reduction of the losses in place of their own.
        """
        found: dict[str, Any] = super().loss_and_target(
            cls_score, bbox_pred, rois, sampling_results, rcnn_train_cfg, concat, reduction_override
        )
        found['loss_bbox'].setdefault('loss_cls', cls_score.sum() * 0)
        return found

    def predict_by_feat(
        self,
        rois: Sequence[Tensor],
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        batch_img_metas: Sequence[Mapping[str, Any]],
        rcnn_test_cfg: Mapping[str, Any] | None = None,
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Return the detections of each image, or all boxes with their scores if `rcnn_test_cfg` is None.

        Args:
            rois: Proposals of each image with the index of the image, [N, 5].
            cls_scores: Logits of each image, [N, classes + 1].
            bbox_preds: Deltas of each image, [N, 4] or [N, 4 * classes].
            batch_img_metas: `img_shape`, `ori_shape` and `scale_factor` of each image.
            rcnn_test_cfg: Score threshold, NMS and boxes per image; None means neither threshold nor NMS.
            rescale: Whether boxes are scaled back to the image before it was resized.
        """
        if rcnn_test_cfg is None:
            everything: list[InstanceData] = super().predict_by_feat(
                rois, cls_scores, bbox_preds, batch_img_metas, rescale=rescale
            )
            return everything
        chosen = super().predict_by_feat(rois, cls_scores, bbox_preds, batch_img_metas, rcnn_test_cfg=rcnn_test_cfg)
        if rescale:
            for found, meta in zip(chosen, batch_img_metas, strict=True):
                found.bboxes = _in_original(found.bboxes, meta)
        return [found[(found.bboxes[:, 2:] > found.bboxes[:, :2]).all(1)] for found in chosen]


def _in_original(boxes: Tensor, meta: Mapping[str, Any]) -> Tensor:
    """Scale boxes to the original image and clip them to it. Shape: both [N, 4]."""
    height, width = meta['ori_shape'][:2]
    scaled: Tensor = scale_boxes(boxes, [1 / factor for factor in meta['scale_factor']])
    return scaled.clamp(min=0).minimum(scaled.new_tensor([width, height, width, height]))
