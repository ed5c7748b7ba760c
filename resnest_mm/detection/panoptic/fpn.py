"""A Panoptic FPN that also returns instances, as the ResNeSt authors evaluated it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdet.models.detectors import PanopticFPN
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from torch import Tensor

from resnest_mm.detection.panoptic.fusion import Detectron2FusionHead
from resnest_mm.detection.panoptic.semantic_head import Detectron2SemanticHead
from resnest_mm.registry import MODELS

Config = Mapping[str, Any]


@MODELS.register_module()
class Detectron2PanopticFPN(PanopticFPN):
    """mmdet's `PanopticFPN`, which also predicts instances and stuff.

    A prediction has `pred_instances` (boxes, scores, labels and masks, for box and mask AP), `pred_sem_seg` (the data
    set's labels of stuff, and the void label on things) and `pred_panoptic_seg` (for PQ). mmdet's class does not return
    instances, so it has one score threshold for boxes and for the panoptic segmentation.

    Args:
        backbone: Config of the backbone.
        neck: Config of the neck; its four finest feature maps have the strides 4, 8, 16 and 32.
        rpn_head: Config of the RPN head.
        roi_head: Config of a RoI head with masks; in the authors' model `resnest_mm.Detectron2CascadeRoIHead`.
        semantic_head: Config of a `resnest_mm.Detectron2SemanticHead`.
        panoptic_fusion_head: Config of a `resnest_mm.Detectron2FusionHead`.
        train_cfg: Assigners and samplers as for mmdet's two-stage detectors; None means a model that is not trained.
        test_cfg: `rpn` and `rcnn` as for mmdet's two-stage detectors, and `panoptic` for the fusion head.
        data_preprocessor: Config of the preprocessor, with `pad_mask=True`, `pad_seg=True` and `seg_pad_value=255`.
        init_cfg: Initialiser config of mmengine.

    Raises:
        ValueError: A head has the wrong class, has no masks, or does not have the number of classes of the fusion head.

    Source: detectron2-ResNeSt@54ec876, detectron2/modeling/meta_arch/panoptic_fpn.py.
    """

    def __init__(
        self,
        *,
        backbone: Config,
        neck: Config,
        rpn_head: Config,
        roi_head: Config,
        semantic_head: Config,
        panoptic_fusion_head: Config,
        test_cfg: Config,
        train_cfg: Config | None = None,
        data_preprocessor: Config | None = None,
        init_cfg: Config | Sequence[Config] | None = None,
    ) -> None:
        test_cfg = ConfigDict({'panoptic': None, **test_cfg})  # mmdet reads both as attributes
        panoptic_fusion_head = ConfigDict(panoptic_fusion_head)
        super().__init__(
            backbone=backbone,
            neck=neck,
            rpn_head=rpn_head,
            roi_head=roi_head,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
            semantic_head=semantic_head,
            panoptic_fusion_head=panoptic_fusion_head,
        )
        self._check_heads()

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: Sequence[DetDataSample], rescale: bool = True
    ) -> Sequence[DetDataSample]:
        """Return the data samples with `pred_instances`, `pred_sem_seg` and `pred_panoptic_seg`.

        Args:
            batch_inputs: Images, padded to one size, [N, 3, H, W].
            batch_data_samples: Sizes and scales of the images.
            rescale: Whether results are scaled back to the images before they were resized.
        """
        x = self.extract_feat(batch_inputs)
        metas = [sample.metainfo for sample in batch_data_samples]
        proposals = self.rpn_head.predict(x, batch_data_samples, rescale=False)
        instances = self.roi_head.predict(x, proposals, batch_data_samples, rescale=rescale)
        logits = self.semantic_head.predict(x, metas, rescale)
        if not rescale:
            logits = [
                each[:, : meta['img_shape'][0], : meta['img_shape'][1]]
                for each, meta in zip(logits, metas, strict=True)
            ]
        merged = self.panoptic_fusion_head.predict(instances, logits)
        for sample, found, scores, panoptic in zip(batch_data_samples, instances, logits, merged, strict=True):
            sample.pred_instances = found
            stuff = self.panoptic_fusion_head.stuff_labels(scores)[None]
            # mmdet's visualizer looks up the name of every label except ignore_index
            sample.pred_sem_seg = PixelData(sem_seg=stuff, metainfo={'ignore_index': self.panoptic_fusion_head.void})
            sample.pred_panoptic_seg = panoptic
        return batch_data_samples

    def _forward(
        self, batch_inputs: Tensor, batch_data_samples: Sequence[DetDataSample]
    ) -> tuple[tuple[list[Tensor], ...], Tensor]:
        """Return the outputs of the RoI head and of the semantic head, without post-processing."""
        x = self.extract_feat(batch_inputs)
        proposals = self.rpn_head.predict(x, batch_data_samples, rescale=False)
        return self.roi_head.forward(x, proposals, batch_data_samples), self.semantic_head(x)['seg_preds']

    def _check_heads(self) -> None:
        for name, kind in (
            ('semantic_head', Detectron2SemanticHead),
            ('panoptic_fusion_head', Detectron2FusionHead),
        ):
            head = getattr(self, name)
            if not isinstance(head, kind):
                raise ValueError(
                    f'{name} is a {type(head).__name__}, whose label order differs; use resnest_mm.{kind.__name__}'
                )
        if not self.roi_head.with_mask:
            raise ValueError('roi_head has no mask_head, but panoptic segmentation needs masks; set roi_head.mask_head')
        boxes = self.roi_head.bbox_head
        found = {head.num_classes for head in (boxes if hasattr(boxes, '__iter__') else [boxes])}
        fusion = self.panoptic_fusion_head
        if found != {fusion.num_things_classes}:
            raise ValueError(
                f'roi_head has {sorted(found)} classes, but panoptic_fusion_head.num_things_classes is '
                f'{fusion.num_things_classes}; both must be the number of thing classes'
            )
        if self.semantic_head.num_stuff_classes != fusion.num_stuff_classes:
            raise ValueError(
                f'semantic_head.num_stuff_classes is {self.semantic_head.num_stuff_classes}, but that of '
                f'panoptic_fusion_head is {fusion.num_stuff_classes}; both must be the number of stuff classes'
            )
