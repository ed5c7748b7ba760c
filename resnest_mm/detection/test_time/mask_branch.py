"""The two halves of a two-stage detector's mask branch: maps for given boxes, and masks from given maps."""

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
    """Refuse a detector whose prediction is not proposals, then boxes, then plain mask maps.

    Args:
        detector: The detector, built.

    Raises:
        ValueError: It is of one stage or panoptic, or it predicts in a way of its own.
    """
    name = type(detector).__name__
    if not isinstance(detector, TwoStageDetector) or getattr(detector, 'rpn_head', None) is None:
        raise ValueError(f'module={name} has no stage of proposals; for boxes only, mmdet.DetTTAModel takes it')
    if type(detector).predict is not TwoStageDetector.predict:
        raise ValueError(f'module={name} predicts more than boxes and masks, or in a way of its own; test it without')
    head = detector.roi_head
    own_masks = head.with_mask and type(head).predict_mask not in _KNOWN
    if own_masks or type(head).predict is not BaseRoIHead.predict:
        raise ValueError(
            f'module={name} has a {type(head).__name__}, which predicts in its own way; known are StandardRoIHead, '
            'CascadeRoIHead and resnest_mm.Detectron2CascadeRoIHead'
        )


def mask_maps(head: Any, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield the probability maps of each mask head: one head, or one for each stage of a cascade.

    Args:
        head: RoI head with masks.
        features: Feature maps of a batch.
        boxes: Boxes in each of its images, (x1, y1, x2, y2) in pixels of the network's input, [N, 4] each.

    Shape:
        What is yielded: [sum of N, classes or 1, height, width of a map].
    """
    rois = bbox2roi(list(boxes))
    for extractor, mask_head in _branches(head):
        pooled = extractor(features[: extractor.num_inputs], rois)
        yield mask_head(head.shared_head(pooled) if head.with_shared_head else pooled).sigmoid()


def add_masks(head: Any, results: InstanceData, maps: Tensor | None, *, image_size: tuple[int, int]) -> None:
    """Paste maps into the image and give the masks to the results.

    Args:
        head: RoI head with masks; its `test_cfg.mask_thr_binary` is the least probability of a pixel in a mask.
        results: Boxes in the image's coordinates, and labels.
        maps: Their probability maps, [N, classes or 1, height, width of a map]; None where there are no boxes.
        image_size: Height and width of the image, pixels.
    """
    metainfo: Mapping[str, Any] = {'ori_shape': image_size, 'scale_factor': (1.0, 1.0)}
    *_, (_, mask_head) = _branches(head)
    # As an array, because mmdet makes a new tensor of it and torch advises against that for tensors.
    given = None if maps is None else maps.cpu().numpy()
    (pasted,) = mask_head.predict_by_feat(
        (given,), [results], [metainfo], rcnn_test_cfg=head.test_cfg, rescale=True, activate_map=True
    )
    results.masks = pasted.masks


def _branches(head: Any) -> list[tuple[Any, Any]]:
    if isinstance(head.mask_head, nn.ModuleList):
        return list(zip(head.mask_roi_extractor, head.mask_head, strict=True))
    return [(head.mask_roi_extractor, head.mask_head)]
