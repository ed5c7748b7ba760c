"""A cascade of box heads with a single mask head, as the ResNeSt authors trained it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.models.utils import empty_instances, unpack_gt_instances
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.registry import TASK_UTILS as MMDET_TASK_UTILS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox2roi, get_box_tensor
from mmengine.model import ModuleList
from mmengine.structures import InstanceData
from torch import Tensor

from resnest_mm.detection.cascade import arguments
from resnest_mm.detection.cascade.gradient_scaling import scale_gradient
from resnest_mm.detection.cascade.single_mask import SingleMaskRoIHead
from resnest_mm.detection.cascade.stages import (
    match_all,
    mean_probability_logits,
    refine,
    sample,
    split_like,
    without_empty,
)
from resnest_mm.models.arguments.checks import integer
from resnest_mm.registry import MODELS

Metas = Sequence[Mapping[str, Any]]


@MODELS.register_module()
class Detectron2CascadeRoIHead(SingleMaskRoIHead):
    """Cascade R-CNN's RoI head with detectron2's training and scores; it replaces mmdet's `CascadeRoIHead`.

    Only the first stage samples proposals and adds the ground truth boxes to them. Each later stage is trained on all
    boxes that the stage before refined, except empty ones. The gradient of the pooled box features is divided by the
    number of stages. There is at most one mask branch; it is trained on the first stage's positive samples with loss
    weight 1. In testing, the score of a box is the mean of its probabilities over the stages, and masks are predicted
    once, for the final boxes.

    Keys of the state dict: `bbox_head.{stage}.*` and `mask_head.*`.

    Args:
        num_stages: Number of box heads, 1 or more.
        bbox_roi_extractor: Config of the extractor of box features, for all stages or one for each.
        bbox_head: Config of the box head, for all stages or one for each, with `reg_class_agnostic=True`.
        mask_roi_extractor: Config of the extractor of mask features; None means no masks.
        mask_head: Config of the mask head; None means no masks.
        stage_loss_weights: Loss weight of each stage, 0 or more; None means ones.
        train_cfg: One config for each stage with `assigner` and `pos_weight`. The first stage also needs `sampler` and,
            for masks, `mask_size`. None means a model that is not trained.
        test_cfg: Score threshold, NMS, boxes per image and mask threshold.
        init_cfg: Initialiser config of mmengine.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: A list does not have one entry per stage, a box head is not class-agnostic or predicts no deltas, a
            later stage has a sampler, or the mask branch is incomplete.

    Source: detectron2-ResNeSt@54ec876, detectron2/modeling/roi_heads/cascade_rcnn.py.
    """

    def __init__(
        self,
        *,
        num_stages: int,
        bbox_roi_extractor: arguments.Configs,
        bbox_head: arguments.Configs,
        mask_roi_extractor: Mapping[str, Any] | None = None,
        mask_head: Mapping[str, Any] | None = None,
        stage_loss_weights: Sequence[float] | None = None,
        train_cfg: Sequence[Mapping[str, Any]] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        integer('num_stages', num_stages, least=1)
        extractors = arguments.one_per_stage('bbox_roi_extractor', bbox_roi_extractor, num_stages=num_stages)
        heads = arguments.one_per_stage('bbox_head', bbox_head, num_stages=num_stages)
        arguments.check_box_heads(heads)
        arguments.check_mask_branch(mask_roi_extractor, mask_head)
        weights = arguments.stage_weights(stage_loss_weights, num_stages=num_stages)
        stages = arguments.training_configs(train_cfg, num_stages=num_stages, with_mask=mask_head is not None)
        self.num_stages, self.stage_loss_weights = num_stages, weights
        super().__init__(
            bbox_roi_extractor=extractors,
            bbox_head=heads,
            mask_roi_extractor=mask_roi_extractor,
            mask_head=mask_head,
            train_cfg=stages,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )

    def init_bbox_head(
        self, bbox_roi_extractor: Sequence[Mapping[str, Any]], bbox_head: Sequence[Mapping[str, Any]]
    ) -> None:
        """Build the extractor and the box head of every stage."""
        self.bbox_roi_extractor = ModuleList(MMDET_MODELS.build(config) for config in bbox_roi_extractor)
        self.bbox_head = ModuleList(MMDET_MODELS.build(config) for config in bbox_head)
        for stage, head in enumerate(self.bbox_head):
            coder = getattr(head, 'bbox_coder', None)
            if not isinstance(coder, DeltaXYWHBBoxCoder):
                raise ValueError(
                    f'bbox_head[{stage}] has the box coder {type(coder).__name__}, but stages refine boxes by four '
                    'deltas; use a head with DeltaXYWHBBoxCoder, such as Shared4Conv1FCBBoxHead'
                )
            if head.custom_activation or head.custom_cls_channels:
                raise ValueError(
                    f'bbox_head[{stage}] has the loss {type(head.loss_cls).__name__}, whose scores are not a softmax; '
                    'stages average softmax probabilities, so use CrossEntropyLoss'
                )

    def init_assigner_sampler(self) -> None:
        """Build the assigner of every stage and the sampler of the first."""
        self.current_stage = 0  # read by samplers that depend on losses
        stages = self.train_cfg or []
        self.bbox_assigner = [MMDET_TASK_UTILS.build(stage['assigner']) for stage in stages]
        self.bbox_sampler: Any = None
        if stages:
            self.bbox_sampler = MMDET_TASK_UTILS.build(stages[0]['sampler'], default_args={'context': self})

    def loss(
        self, x: Sequence[Tensor], rpn_results_list: Sequence[InstanceData], batch_data_samples: Sequence[DetDataSample]
    ) -> dict[str, Tensor]:
        """Return the losses of all stages, `s0.loss_cls` and so on, and `loss_mask`.

        Args:
            x: Feature maps of all levels, each of shape (images, channels, height, width).
            rpn_results_list: The proposals of each image.
            batch_data_samples: The ground truth and size of each image.
        """
        ground_truth, ignored, metas = unpack_gt_instances(batch_data_samples)
        proposals = [found.bboxes for found in rpn_results_list]
        sampled = sample(x, proposals, ground_truth, ignored, assigner=self.bbox_assigner[0], sampler=self.bbox_sampler)
        losses: dict[str, Tensor] = {}
        deltas, samples = self._add_box_losses(0, x, sampled, losses), sampled
        for stage in range(1, self.num_stages):
            coder = self.bbox_head[stage - 1].bbox_coder
            refined = refine([found.priors for found in samples], deltas, coder=coder, metas=metas)
            kept = [without_empty(boxes) for boxes in refined]
            samples = match_all(kept, ground_truth, ignored, assigner=self.bbox_assigner[stage])
            deltas = self._add_box_losses(stage, x, samples, losses)
        if self.with_mask:
            losses.update(self.mask_losses(x, sampled, ground_truth, train_cfg=self.train_cfg[0]))
        return losses

    def predict_bbox(
        self,
        x: Sequence[Tensor],
        batch_img_metas: Metas,
        rpn_results_list: Sequence[InstanceData],
        rcnn_test_cfg: Mapping[str, Any] | None,
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Return the detections of each image, or all boxes with their scores if `rcnn_test_cfg` is None.

        Args:
            x: Feature maps of all levels.
            batch_img_metas: Size and scale of each image.
            rpn_results_list: The proposals of each image.
            rcnn_test_cfg: Score threshold, NMS and boxes per image; None means neither threshold nor NMS.
            rescale: Whether boxes are scaled back to the image before it was resized.
        """
        last = self.bbox_head[-1]
        results: list[InstanceData]
        if any(len(proposals) for proposals in rpn_results_list):
            rois, logits, deltas = self._cascade(x, rpn_results_list, batch_img_metas)
            results = last.predict_by_feat(
                rois=rois,
                cls_scores=logits,
                bbox_preds=deltas,
                batch_img_metas=batch_img_metas,
                rcnn_test_cfg=rcnn_test_cfg,
                rescale=rescale,
            )
        else:
            results = empty_instances(
                batch_img_metas,
                x[0].device,
                task_type='bbox',
                box_type=last.predict_box_type,
                num_classes=last.num_classes,
                score_per_cls=rcnn_test_cfg is None,
            )
        return results

    def forward(
        self, x: Sequence[Tensor], rpn_results_list: Sequence[InstanceData], batch_data_samples: Sequence[DetDataSample]
    ) -> tuple[list[Tensor], ...]:
        """Return logits, box deltas and, with a mask branch, mask probabilities, each as a list over the images.

        Args:
            x: Feature maps of all levels.
            rpn_results_list: The proposals of each image.
            batch_data_samples: The sizes of each image.
        """
        rois, logits, deltas = self._cascade(x, rpn_results_list, [each.metainfo for each in batch_data_samples])
        if not self.with_mask:
            return logits, deltas
        masks = self._mask_forward(x, torch.cat(rois))['mask_preds'].sigmoid()
        return logits, deltas, split_like(masks, rois)

    def _bbox_forward(self, stage: int, x: Sequence[Tensor], rois: Tensor) -> dict[str, Tensor]:
        extractor = self.bbox_roi_extractor[stage]
        features = extractor(x[: extractor.num_inputs], rois)
        logits, deltas = self.bbox_head[stage](scale_gradient(features, 1 / self.num_stages))
        return {'cls_score': logits, 'bbox_pred': deltas, 'bbox_feats': features}

    def _add_box_losses(
        self, stage: int, x: Sequence[Tensor], samples: Sequence[SamplingResult], losses: dict[str, Tensor]
    ) -> Tensor:
        """Add the losses of a stage to `losses` and return its deltas."""
        rois = bbox2roi([found.priors for found in samples])
        outputs = self._bbox_forward(stage, x, rois)
        logits, deltas = outputs['cls_score'], outputs['bbox_pred']
        found = self.bbox_head[stage].loss_and_target(logits, deltas, rois, samples, self.train_cfg[stage])['loss_bbox']
        if not len(rois):
            # mmdet has no loss_cls without boxes; in distributed training all processes need the same graph.
            found['loss_cls'] = logits.sum()
        for name, value in found.items():
            losses[f's{stage}.{name}'] = value * self.stage_loss_weights[stage] if 'loss' in name else value
        return deltas

    def _cascade(
        self, x: Sequence[Tensor], rpn_results_list: Sequence[InstanceData], metas: Metas
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Return the input boxes of the last stage, the mean logits and the last deltas, each per image."""
        boxes = [get_box_tensor(found.bboxes) for found in rpn_results_list]
        stages = []
        for stage, head in enumerate(self.bbox_head):
            rois = bbox2roi(boxes)
            outputs = self._bbox_forward(stage, x, rois)
            stages.append(outputs['cls_score'])
            if stage + 1 < self.num_stages:
                boxes = refine(boxes, outputs['bbox_pred'], coder=head.bbox_coder, metas=metas)
        logits = mean_probability_logits(stages)
        return split_like(rois, boxes), split_like(logits, boxes), split_like(outputs['bbox_pred'], boxes)
