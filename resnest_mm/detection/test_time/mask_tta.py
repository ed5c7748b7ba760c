"""Test-time augmentation of boxes and masks for two-stage detectors."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
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


@MODELS.register_module()
class DetMaskTTAModel(BaseTTAModel):
    """Detect in several resized and flipped views of an image, and merge boxes and masks.

    The box branch runs on every view. Its boxes are transformed back to the image, and a class-wise NMS merges the
    boxes of all views. Then the merged boxes are transformed to every view, where the mask branch runs on them. The
    mask probabilities are averaged over the views and over the mask heads of a cascade. A detector without masks
    returns the merged boxes. Unlike mmdet's `DetTTAModel`, this model allows a pipeline that resizes twice.

    Args:
        module: A two-stage detector, or its config, with a RoI head that predicts like mmdet's `StandardRoIHead` or
            `CascadeRoIHead`.
        data_preprocessor: Config of the data preprocessor if the detector's config has none.
        score_thr: Only boxes with a higher score are merged, in [0, 1). The detector's own threshold is applied before.
        nms: Type and arguments of the NMS over all views; None means plain NMS at IoU 0.5.
        max_per_img: Largest number of boxes per image, at least 1.
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
        keep_features: bool = True,
    ) -> None:
        score_thr = probability('score_thr', score_thr)
        nms = _NMS if nms is None else nms
        if not isinstance(nms, Mapping):
            raise TypeError(f'nms={nms!r} must be a config such as {dict(_NMS)}')
        if 'iou_threshold' not in nms:
            raise ValueError(f'nms={dict(nms)} has no iou_threshold; write it as {dict(_NMS)}')
        integer('max_per_img', max_per_img, least=1)
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
        batches = [
            {'inputs': inputs, 'data_samples': samples}
            for inputs, samples in zip(data['inputs'], data['data_samples'], strict=True)
        ]
        kept_features, predictions = [], []
        for batch in batches:
            features, samples = self._features(batch)
            self._add_boxes(features, samples)
            predictions.append(samples)
            kept_features.append(features if self.keep_features and self.module.with_mask else None)
        merged = self.merge_preds(list(zip(*predictions, strict=True)))
        if self.module.with_mask:
            features_by_view = (
                self._features(batch)[0] if kept is None else kept
                for kept, batch in zip(kept_features, batches, strict=True)
            )
            self._add_masks(merged, features_by_view, predictions)
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

    def _features(self, batch: dict[str, Any]) -> tuple[Sequence[Tensor], list[DetDataSample]]:
        prepared = self.module.data_preprocessor(batch, False)
        return self.module.extract_feat(prepared['inputs']), prepared['data_samples']

    def _add_boxes(self, features: Sequence[Tensor], samples: Sequence[DetDataSample]) -> None:
        """Predict boxes in one view of each image, in the image's coordinates."""
        head = self.module.roi_head
        views = [View.from_metainfo(sample.metainfo) for sample in samples]
        proposals = self.module.rpn_head.predict(features, samples, rescale=False)
        results = head.predict_bbox(
            features, [sample.metainfo for sample in samples], proposals, rcnn_test_cfg=head.test_cfg, rescale=False
        )
        for sample, view, result in zip(samples, views, results, strict=True):
            boxes = view.to_original(get_box_tensor(result.bboxes))
            sample.pred_instances = InstanceData(bboxes=boxes, scores=result.scores, labels=result.labels)

    def _add_masks(
        self,
        merged: Sequence[DetDataSample],
        features: Iterator[Sequence[Tensor]],
        predictions: Sequence[Sequence[DetDataSample]],
    ) -> None:
        """Predict the mask of every merged box; `features` and `predictions` have one entry for each view."""
        head = self.module.roi_head
        results = [sample.pred_instances for sample in merged]
        averages: Sequence[Tensor | None] = [None] * len(results)
        if any(len(result) for result in results):
            average = mean_of(self._upright_probabilities(features, predictions, [result.bboxes for result in results]))
            averages = torch.split(average, [len(result) for result in results])
        for sample, result, probabilities in zip(merged, results, averages, strict=True):
            add_masks(head, result, probabilities, image_size=View.from_metainfo(sample.metainfo).original)

    def _upright_probabilities(
        self,
        features: Iterator[Sequence[Tensor]],
        predictions: Sequence[Sequence[DetDataSample]],
        boxes: Sequence[Tensor],
    ) -> Iterator[Tensor]:
        """Yield the mask probabilities of all images' boxes, for each view and each mask head, without the flips."""
        for of_view, samples in zip(features, predictions, strict=True):
            views = [View.from_metainfo(sample.metainfo) for sample in samples]
            placed = [view.from_original(each) for view, each in zip(views, boxes, strict=True)]
            for probabilities in predict_mask_probabilities(self.module.roi_head, of_view, placed):
                parts = torch.split(probabilities, [len(each) for each in boxes])
                yield torch.cat([view.upright(part) for view, part in zip(views, parts, strict=True)])
