"""Test-time augmentation of boxes and masks for two-stage detectors."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import get_box_tensor
from mmengine.model import BaseTTAModel
from mmengine.structures import InstanceData
from torch import Tensor, nn

from resnest_mm.detection.test_time.mask_branch import add_masks, check_two_stages, predict_mask_probabilities
from resnest_mm.detection.test_time.views import View, mean_of, merge_boxes
from resnest_mm.models.arguments.checks import boolean, integer, probability
from resnest_mm.registry import MODELS

_NMS: Final = MappingProxyType({'type': 'nms', 'iou_threshold': 0.5})


@dataclass
class _Batch:
    """Consecutive views of one image that run together.

    Args:
        data: Inputs and data samples as `pseudo_collate` returns them for the views.
        samples: One sample for each view; the box branch adds its predictions to it.
        features: Feature maps of the views, if they are kept.
    """

    data: dict[str, Any]
    samples: list[DetDataSample]
    features: Sequence[Tensor] | None


@MODELS.register_module()
class DetMaskTTAModel(BaseTTAModel):
    """Detect in several resized and flipped views of an image, and merge boxes and masks.

    The box branch runs on every view. Its boxes are transformed back to the image, boxes without area are dropped, and
    a class-wise NMS merges the boxes of all views. Then the merged boxes are transformed to every view, where the mask
    branch runs on them. The mask probabilities are averaged over the views and over the mask heads of a cascade. A
    detector without masks returns the merged boxes. Unlike mmdet's `DetTTAModel`, this model allows a pipeline that
    resizes twice.

    `batch_size` consecutive views of an image run together, padded to the largest of them. Views of other images are
    never in that batch. The number changes the scores, because split attention averages over the padding, too; the
    authors' detectors were tested with 3. `TestTimeAug` gives the views in the order in which the authors have them,
    each size and then its flip, if its first list has the sizes and its second one the flips.

    Args:
        module: A two-stage detector, or its config, with a RoI head that predicts like mmdet's `StandardRoIHead` or
            `CascadeRoIHead`.
        data_preprocessor: Config of the data preprocessor if the detector's config has none.
        score_thr: Only boxes with a higher score are merged, in [0, 1). The detector's own threshold is applied before.
        nms: Type and arguments of the NMS over all views; None means plain NMS at IoU 0.5.
        max_per_img: Largest number of boxes per image, at least 1.
        batch_size: Number of views of an image that run together, at least 1. With 1 no view is padded to the size of
            another, and less memory is needed.
        keep_features: Whether to keep the feature maps of all views in memory for the mask branch, about 100 bytes per
            pixel of a view. Otherwise the backbone runs twice on each view. Not used for a detector without masks.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range, a preprocessor is given with a built module, or the detector has its
            own way of prediction.

    Source: `GeneralizedRCNNWithTTA` of detectron2-ResNeSt@54ec876.

    Example:
        tta_model = dict(type='resnest_mm.DetMaskTTAModel')
        tta_pipeline = [
            dict(type='LoadImageFromFile', imdecode_backend='pillow'),
            dict(type='Resize', scale=(1333, 800), keep_ratio=True, backend='pillow'),  # views come from this image
            dict(
                type='TestTimeAug',
                transforms=[
                    [
                        dict(type='Resize', scale=(4000, short), keep_ratio=True, backend='pillow')
                        for short in range(400, 1201, 100)
                    ],
                    [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
                    [dict(type='PackDetInputs')],
                ],
            ),
        ]
    """

    def __init__(
        self,
        *,
        module: nn.Module | Mapping[str, Any],
        data_preprocessor: nn.Module | Mapping[str, Any] | None = None,
        score_thr: float = 1e-8,
        nms: Mapping[str, Any] | None = None,
        max_per_img: int = 100,
        batch_size: int = 3,
        keep_features: bool = True,
    ) -> None:
        score_thr = probability('score_thr', score_thr)
        nms = _NMS if nms is None else nms
        if not isinstance(nms, Mapping):
            raise TypeError(f'nms={nms!r} must be a config such as {dict(_NMS)}')
        if 'iou_threshold' not in nms:
            raise ValueError(f'nms={dict(nms)} has no iou_threshold; write it as {dict(_NMS)}')
        integer('max_per_img', max_per_img, least=1)
        integer('batch_size', batch_size, least=1)
        boolean('keep_features', keep_features)
        if isinstance(module, nn.Module) and data_preprocessor is not None:
            raise ValueError(
                'data_preprocessor is given with a built module, which has its own; give only one of the two'
            )
        # The base class writes the preprocessor into this config.
        super().__init__(module if isinstance(module, nn.Module) else copy.deepcopy(module), data_preprocessor)
        check_two_stages(self.module)
        self.score_thr = score_thr
        self.nms = dict(nms)
        self.max_per_img = max_per_img
        self.batch_size = batch_size
        self.keep_features = keep_features

    @torch.no_grad()
    def test_step(self, data: Mapping[str, Sequence[Any]]) -> list[DetDataSample]:
        """Return one merged prediction for each image.

        Args:
            data: `inputs` and `data_samples`, each a list over views of lists over images, as `TestTimeAug` and
                `pseudo_collate` return them.

        Raises:
            ValueError: A view is not the whole image, or its metainfo is incomplete.
        """
        images = zip(zip(*data['inputs'], strict=True), zip(*data['data_samples'], strict=True), strict=True)
        return [self._test_image(inputs, samples) for inputs, samples in images]

    def _test_image(self, inputs: Sequence[Tensor], samples: Sequence[DetDataSample]) -> DetDataSample:
        """Return the merged prediction for the views of one image."""
        batches = []
        for start in range(0, len(inputs), self.batch_size):
            views = slice(start, start + self.batch_size)
            data = {'inputs': list(inputs[views]), 'data_samples': list(samples[views])}
            features, prepared = self._features(data)
            self._add_boxes(features, prepared)
            kept = features if self.keep_features and self.module.with_mask else None
            batches.append(_Batch(data, prepared, kept))
        (merged,) = self.merge_preds([[sample for batch in batches for sample in batch.samples]])
        if self.module.with_mask:
            self._add_masks(merged, batches)
        return merged

    def merge_preds(self, data_samples_list: Sequence[Sequence[DetDataSample]]) -> list[DetDataSample]:
        """Return one sample with the merged boxes for each image.

        Args:
            data_samples_list: The views of each image, with predicted boxes in the image's coordinates.
        """
        return [self._merge(views) for views in data_samples_list]

    def _merge(self, views: Sequence[DetDataSample]) -> DetDataSample:
        found = [view.pred_instances for view in views]
        boxes, scores, labels = merge_boxes(
            torch.cat([each.bboxes for each in found]),
            torch.cat([each.scores for each in found]),
            torch.cat([each.labels for each in found]),
            image_size=View.from_metainfo(views[0].metainfo).original,
            score_thr=self.score_thr,
            nms=self.nms,
            max_per_img=self.max_per_img,
        )
        merged = views[0].new()
        merged.pred_instances = InstanceData(bboxes=boxes, scores=scores, labels=labels)
        return merged

    def _features(self, data: dict[str, Any]) -> tuple[Sequence[Tensor], list[DetDataSample]]:
        prepared = self.module.data_preprocessor(data, False)
        return self.module.extract_feat(prepared['inputs']), prepared['data_samples']

    def _add_boxes(self, features: Sequence[Tensor], samples: Sequence[DetDataSample]) -> None:
        """Predict the boxes of a batch of views, in the image's coordinates."""
        head = self.module.roi_head
        views = [View.from_metainfo(sample.metainfo) for sample in samples]
        proposals = self.module.rpn_head.predict(features, samples, rescale=False)
        results = head.predict_bbox(
            features, [sample.metainfo for sample in samples], proposals, rcnn_test_cfg=head.test_cfg, rescale=False
        )
        for sample, view, result in zip(samples, views, results, strict=True):
            boxes = view.to_original(get_box_tensor(result.bboxes))
            sample.pred_instances = InstanceData(bboxes=boxes, scores=result.scores, labels=result.labels)

    def _add_masks(self, merged: DetDataSample, batches: Sequence[_Batch]) -> None:
        """Predict the mask of every merged box."""
        results = merged.pred_instances
        probabilities = mean_of(self._upright_probabilities(batches, results.bboxes)) if len(results) else None
        original = View.from_metainfo(merged.metainfo).original
        add_masks(self.module.roi_head, results, probabilities, image_size=original)

    def _upright_probabilities(self, batches: Sequence[_Batch], boxes: Tensor) -> Iterator[Tensor]:
        """Yield the mask probabilities of an image's boxes, for each view and each mask head, without the flips."""
        for batch in batches:
            features = self._features(batch.data)[0] if batch.features is None else batch.features
            views = [View.from_metainfo(sample.metainfo) for sample in batch.samples]
            placed = [view.from_original(boxes) for view in views]
            for probabilities in predict_mask_probabilities(self.module.roi_head, features, placed):
                for view, part in zip(views, torch.split(probabilities, len(boxes)), strict=True):
                    yield view.upright(part)
