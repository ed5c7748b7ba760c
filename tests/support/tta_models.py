"""Detectors for tests of test-time augmentation: a tiny Mask R-CNN, and one that sees what is painted in an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from mmcv.ops import roi_align
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.models.detectors.two_stage import TwoStageDetector
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.model import BaseModel, BaseModule
from mmengine.registry import TRANSFORMS, DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor, nn

CLASSES: Final = 3
HEAD: Final = {
    'type': 'Shared4Conv1FCBBoxHead',
    'in_channels': 8,
    'conv_out_channels': 8,
    'fc_out_channels': 16,
    'roi_feat_size': 3,
    'num_classes': CLASSES,
}
PROPOSALS: Final = {'nms_pre': 100, 'max_per_img': 20, 'nms': {'type': 'nms', 'iou_threshold': 0.7}, 'min_bbox_size': 0}


def mask_rcnn(*, masks: bool = True, cascade: str | None = None) -> ConfigDict:
    """Return a tiny Mask R-CNN that detects something in whatever it is shown.

    With `masks=False` it is a Faster R-CNN; `cascade` names a RoI head with two stages to put in.
    """
    agnostic = {**HEAD, 'reg_class_agnostic': cascade is not None}
    roi_head: dict[str, Any] = {
        'type': cascade or 'StandardRoIHead',
        'bbox_roi_extractor': _extractor(3),
        'bbox_head': [agnostic, agnostic] if cascade else agnostic,
    }
    if masks:
        roi_head['mask_roi_extractor'] = _extractor(7)
        roi_head['mask_head'] = {
            'type': 'FCNMaskHead',
            'num_convs': 1,
            'in_channels': 8,
            'conv_out_channels': 8,
            'num_classes': CLASSES,
        }
    if cascade:
        roi_head.update(num_stages=2, stage_loss_weights=[1, 1])
    rcnn = {'score_thr': 0.3, 'nms': {'type': 'nms', 'iou_threshold': 0.5}, 'max_per_img': 4, 'mask_thr_binary': 0.5}
    return ConfigDict(
        type='CascadeRCNN' if cascade else 'MaskRCNN' if masks else 'FasterRCNN',
        data_preprocessor={
            'type': 'DetDataPreprocessor',
            'mean': [128.0] * 3,
            'std': [60.0] * 3,
            'pad_size_divisor': 32,
        },
        backbone={'type': 'resnest_mm.ResNeSt', 'depth': 14, 'stem_channels': 8, 'base_channels': 8},
        neck={'type': 'FPN', 'in_channels': [32, 64, 128, 256], 'out_channels': 8, 'num_outs': 5},
        rpn_head={
            'type': 'RPNHead',
            'in_channels': 8,
            'feat_channels': 8,
            'anchor_generator': {
                'type': 'AnchorGenerator',
                'scales': [4],
                'ratios': [0.5, 1.0, 2.0],
                'strides': [4, 8, 16, 32, 64],
            },
        },
        roi_head=roi_head,
        train_cfg=None,
        test_cfg={'rpn': PROPOSALS, 'rcnn': rcnn},
    )


def _extractor(size: int) -> dict[str, Any]:
    layer = {'type': 'RoIAlign', 'output_size': size, 'sampling_ratio': 0}
    return {
        'type': 'SingleRoIExtractor',
        'roi_layer': layer,
        'out_channels': 8,
        'featmap_strides': [4, 8, 16, 32],
        'finest_scale': 12,
    }


def build(config: ConfigDict) -> Any:
    """Return a detector in eval mode, always the same, whose boxes, classes and masks differ from place to place."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(config)
    model.init_weights()
    scatter = {'fc_cls': 4.0, 'fc_reg': 0.3, 'rpn_cls': 0.5, 'rpn_reg': 0.2, 'conv_logits': 30.0}
    for name, module in model.named_modules():
        std = scatter.get(name.rpartition('.')[2])
        if std is not None:
            nn.init.normal_(module.weight, std=std)
            # What goes in is never negative: only a weight of mean zero has both signs come out.
            module.weight.data -= module.weight.data.mean(1, keepdim=True)
    return model.eval()


def views_of(images: Sequence[Tensor], *, shapes: Sequence[tuple[int, int]], flips: Sequence[str | None]) -> Any:
    """Return a batch of views as `TestTimeAug` and `pseudo_collate` make it: of every image each shape and flip.

    `shapes` are sizes (height, width); images [3, H, W] are uint8. The scale factor is left wrong on purpose, as it is
    after a second resize.
    """
    data: dict[str, list[list[Any]]] = {'inputs': [], 'data_samples': []}
    for shape in shapes:
        for direction in flips:
            inputs, samples = [], []
            for index, image in enumerate(images):
                resized = nn.functional.interpolate(image[None].float(), shape, mode='bilinear', antialias=True)[0]
                axes = {None: (), 'horizontal': (2,), 'vertical': (1,), 'diagonal': (1, 2)}[direction]
                inputs.append(resized.flip(axes))
                info = {
                    'img_id': index,
                    'ori_shape': tuple(image.shape[1:]),
                    'img_shape': shape,
                    'scale_factor': (1.0, 1.0),
                    'flip': direction is not None,
                    'flip_direction': direction,
                }
                samples.append(DetDataSample(metainfo=info))
            data['inputs'].append(inputs)
            data['data_samples'].append(samples)
    return data


def from_file(path: str, transforms: Sequence[dict[str, Any]]) -> Any:
    """Run mmdet's transforms over an image file and collate the one result."""
    results: Any = {'img_path': path, 'img_id': 7}
    with DefaultScope.overwrite_default_scope('mmdet'):
        for config in transforms:
            results = TRANSFORMS.build(dict(config))(results)
    return {key: [[value] for value in values] for key, values in results.items()}


class _Everything:
    """A first stage without proposals: the second looks at the whole image."""

    def predict(self, features: Any, samples: Sequence[DetDataSample], rescale: bool) -> list[InstanceData]:
        assert not rescale
        return [InstanceData() for _ in samples]


class _Window(nn.Module):
    """Pools 28x28 values of the image itself out of a box."""

    num_inputs = 1

    def forward(self, features: Sequence[Tensor], rois: Tensor) -> Tensor:
        return roi_align(features[0][:, :1].contiguous(), rois, (28, 28), 1.0, 0, 'avg', True)


class _Brightness(FCNMaskHead):
    """Takes what is bright for the object."""

    def __init__(self) -> None:
        BaseModule.__init__(self)
        self.class_agnostic = True

    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5) * 20


class _PaintRoIHead(StandardRoIHead):
    """Puts one box around all bright pixels of an image."""

    def __init__(self) -> None:
        BaseModule.__init__(self)
        self.test_cfg = ConfigDict(mask_thr_binary=0.5)
        self.mask_roi_extractor, self.mask_head = _Window(), _Brightness()

    def predict_bbox(
        self, x: Any, batch_img_metas: Any, rpn_results_list: Any, rcnn_test_cfg: Any, rescale: bool = False
    ) -> list[InstanceData]:
        assert not rescale and rcnn_test_cfg is self.test_cfg
        results = []
        for image in x[0][:, 0]:
            rows, columns = torch.nonzero(image > 0.5, as_tuple=True)
            found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else []
            boxes = torch.tensor(found, dtype=torch.float32).reshape(-1, 4)
            count = len(boxes)
            results.append(
                InstanceData(bboxes=boxes, scores=torch.full((count,), 0.9), labels=torch.zeros(count).long())
            )
        return results


class PaintDetector(TwoStageDetector):
    """Finds what is white on black."""

    def __init__(self) -> None:
        BaseModel.__init__(self, data_preprocessor=DetDataPreprocessor(pad_size_divisor=32))
        self.rpn_head, self.roi_head = _Everything(), _PaintRoIHead()

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        return (batch_inputs / 255,)
