"""The assignment of anchors to ground truth boxes in the region proposal network, as in detectron2."""

from __future__ import annotations

from mmdet.models.task_modules.assigners import AssignResult, BaseAssigner
from mmdet.structures.bbox import bbox_overlaps, get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

from resnest_mm.registry import TASK_UTILS


@TASK_UTILS.register_module()
class Detectron2RPNAssigner(BaseAssigner):
    """Assign each anchor to the ground truth box with the largest IoU.

    An anchor is positive if that IoU is at least `pos_iou_thr`, negative if it is below `neg_iou_thr`, and ignored in
    between. In addition, the best anchors of every ground truth box are positive, whatever their IoU. These anchors,
    too, are assigned to the box with which they have the largest IoU. In mmdet's `MaxIoUAssigner` they are assigned to
    the box whose best anchors they are.

    Args:
        pos_iou_thr: Smallest IoU of a positive anchor, in [0, 1], at least `neg_iou_thr`.
        neg_iou_thr: Upper bound for the IoU of a negative anchor, in [0, 1].

    Raises:
        TypeError: A threshold is not a number.
        ValueError: A threshold is outside its range.

    Source: detectron2-ResNeSt@54ec876, detectron2/modeling/matcher.py.
    """

    def __init__(self, *, pos_iou_thr: float = 0.7, neg_iou_thr: float = 0.3) -> None:
        for name, value in (('pos_iou_thr', pos_iou_thr), ('neg_iou_thr', neg_iou_thr)):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f'{name}={value!r} must be a number in [0, 1]')
            if not 0 <= value <= 1:
                raise ValueError(f'{name}={value} must be in [0, 1]')
        if neg_iou_thr > pos_iou_thr:
            raise ValueError(f'neg_iou_thr={neg_iou_thr} must not be above pos_iou_thr={pos_iou_thr}')
        self.pos_iou_thr, self.neg_iou_thr = pos_iou_thr, neg_iou_thr

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
    ) -> AssignResult:
        """Return for each anchor the number of its ground truth box from 1, 0 if negative, -1 if ignored.

        Args:
            pred_instances: The anchors, as `priors`.
            gt_instances: The ground truth of the image, with `bboxes` and `labels`.
            gt_instances_ignore: Ignored regions; not used.
        """
        boxes, labels = get_box_tensor(gt_instances.bboxes), gt_instances.labels
        overlaps = bbox_overlaps(boxes, get_box_tensor(pred_instances.priors))
        return self._assign(overlaps, labels)

    def _assign(self, overlaps: Tensor, labels: Tensor) -> AssignResult:
        objects, anchors = overlaps.shape
        if not objects or not anchors:
            nothing = labels.new_zeros(anchors)
            return AssignResult(objects, nothing, overlaps.new_zeros(anchors), labels=nothing - 1)
        largest, nearest = overlaps.max(0)
        assigned = labels.new_full((anchors,), -1)
        assigned[largest < self.neg_iou_thr] = 0
        best = (overlaps == overlaps.max(1, keepdim=True).values).any(0)
        positive = (largest >= self.pos_iou_thr) | best
        assigned[positive] = nearest[positive] + 1
        found = labels.new_full((anchors,), -1)
        found[positive] = labels[nearest[positive]]
        return AssignResult(objects, assigned, largest, labels=found)
