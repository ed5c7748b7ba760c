"""The mask branch of a two-stage detector in two steps: predict probabilities for boxes, and paste them as masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from mmdet.models.detectors.two_stage import TwoStageDetector
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.roi_heads.base_roi_head import BaseRoIHead
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import InstanceData
from torch import Tensor, nn

from resnest_mm.detection.cascade.roi_head import Detectron2CascadeRoIHead

_KNOWN: Final = tuple(head.predict_mask for head in (StandardRoIHead, CascadeRoIHead, Detectron2CascadeRoIHead))


def check_two_stages(detector: nn.Module) -> None:
    """Refuse a detector that does not predict proposals, then boxes, then masks in the ways known here.

    Args:
        detector: The built detector.

    Raises:
        ValueError: The detector has one stage, is panoptic, or has its own way of prediction.
    """
    name = type(detector).__name__
    if not isinstance(detector, TwoStageDetector) or getattr(detector, 'rpn_head', None) is None:
        raise ValueError(f'module={name} has no RPN; use mmdet.DetTTAModel, which merges boxes only')
    if type(detector).predict is not TwoStageDetector.predict:
        raise ValueError(f'module={name} has its own way of prediction, which cannot be merged; test it without --tta')
    head = detector.roi_head
    own_masks = head.with_mask and type(head).predict_mask not in _KNOWN
    if own_masks or type(head).predict is not BaseRoIHead.predict:
        raise ValueError(
            f'module={name} has a {type(head).__name__}, which has its own way of prediction; allowed are '
            'StandardRoIHead, CascadeRoIHead and resnest_mm.Detectron2CascadeRoIHead'
        )


def predict_mask_probabilities(head: Any, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield the mask probabilities of each mask head: of a single one, or of one for each stage of a cascade.

    Args:
        head: RoI head with masks.
        features: Feature maps of a batch.
        boxes: Boxes in each image, (x1, y1, x2, y2) in pixels of the network's input, [N, 4] each.

    Shape:
        each output [sum of N, classes or 1, mask height, mask width].
    """
    rois = bbox2roi(list(boxes))
    for extractor, mask_head in _branches(head):
        pooled = extractor(features[: extractor.num_inputs], rois)
        yield mask_head(head.shared_head(pooled) if head.with_shared_head else pooled).sigmoid()


def add_masks(head: Any, results: InstanceData, probabilities: Tensor | None, *, image_size: tuple[int, int]) -> None:
    """Paste mask probabilities into the image and add the masks to the results.

    Args:
        head: RoI head with masks; `test_cfg.mask_thr_binary` is its threshold for the probability of a pixel.
        results: Boxes in the image's coordinates, and labels.
        probabilities: Their mask probabilities, [N, classes or 1, mask height, mask width]; None without boxes.
        image_size: Height and width of the image, pixels.
    """
    metainfo: Mapping[str, Any] = {'ori_shape': image_size, 'scale_factor': (1.0, 1.0)}
    *_, (_, mask_head) = _branches(head)
    # As an array: mmdet converts it to a tensor, and torch warns if it is a tensor already.
    array = None if probabilities is None else probabilities.cpu().numpy()
    (pasted,) = mask_head.predict_by_feat(
        (array,), [results], [metainfo], rcnn_test_cfg=head.test_cfg, rescale=True, activate_map=True
    )
    results.masks = pasted.masks


def _branches(head: Any) -> list[tuple[Any, Any]]:
    if isinstance(head.mask_head, nn.ModuleList):
        return list(zip(head.mask_roi_extractor, head.mask_head, strict=True))
    return [(head.mask_roi_extractor, head.mask_head)]
