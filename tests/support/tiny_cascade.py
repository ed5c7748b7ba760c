"""A Cascade Mask R-CNN small enough to be checked box by box, and two images of unequal size with few objects."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from mmdet.models.roi_heads import CascadeRoIHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor, nn

CLASSES = 3
STRIDES = (4, 8, 16, 32, 64)
SIZES = ((60, 90), (92, 64))
PADDED = (96, 96)
BOXES = (
    ((8, 10, 40, 52), (60, 4, 90, 30), (10, 12, 30, 40)),
    ((5, 40, 58, 90), (20, 6, 50, 33)),
)
LABELS = ((0, 2, 1), (1, 0))
COORDINATES = ((10, 10, 5, 5), (20, 20, 10, 10), (30, 30, 15, 15))
"""How many units of a delta are one width, one height and one factor e of a box, stage by stage."""
THRESHOLDS = (0.5, 0.6, 0.7)
MASK_SIZE = 8
ANCHORS = 3000
"""How many anchors of an image the RPN may be trained on: more than there are, so that all of them take part."""


def model_config(*, masks: bool = True, stock: bool = False) -> ConfigDict:
    """Return the detector's config: the official cascade recipe, smaller, or the same with mmdet's parts."""
    head: dict[str, Any] = dict(
        type='Shared4Conv1FCBBoxHead' if stock else 'resnest_mm.Detectron2Shared4Conv1FCBBoxHead',
        in_channels=8,
        conv_out_channels=8,
        fc_out_channels=16,
        roi_feat_size=3,
        num_classes=CLASSES,
        reg_class_agnostic=True,
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0),
    )
    heads = [
        dict(bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[1 / unit for unit in units]), **head)
        for units in COORDINATES
    ]
    roi_head: dict[str, Any] = dict(
        type='CascadeRoIHead' if stock else 'resnest_mm.Detectron2CascadeRoIHead',
        num_stages=3,
        bbox_roi_extractor=_extractor(3),
        bbox_head=heads,
    )
    if stock:
        roi_head['stage_loss_weights'] = [1, 1, 1]
    if masks:
        roi_head['mask_roi_extractor'] = _extractor(MASK_SIZE // 2)
        roi_head['mask_head'] = dict(
            type='FCNMaskHead' if stock else 'resnest_mm.Detectron2FCNMaskHead',
            num_convs=1,
            in_channels=8,
            conv_out_channels=8,
            num_classes=CLASSES,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0),
        )
    rpn_assigner = dict(type='resnest_mm.Detectron2RPNAssigner')
    if stock:
        rpn_assigner = dict(type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3)
    everything = dict(type='RandomSampler', num=100000, pos_fraction=0.5, add_gt_as_proposals=False)
    rcnn: list[dict[str, Any]] = [
        dict(
            assigner=dict(
                type='MaxIoUAssigner', pos_iou_thr=iou, neg_iou_thr=iou, min_pos_iou=iou, match_low_quality=False
            ),
            pos_weight=-1,
        )
        for iou in THRESHOLDS
    ]
    for stage in rcnn if stock else rcnn[:1]:
        stage.update(sampler={**everything, 'add_gt_as_proposals': True}, mask_size=MASK_SIZE)
    proposals = dict(nms_pre=200, max_per_img=25, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0)
    return ConfigDict(
        type='CascadeRCNN',
        data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=32),
        backbone=dict(type='resnest_mm.ResNeSt', depth=14, stem_channels=8, base_channels=8, norm_eval=True),
        neck=dict(type='FPN', in_channels=[32, 64, 128, 256], out_channels=8, num_outs=5),
        rpn_head=dict(
            type='RPNHead' if stock else 'resnest_mm.Detectron2RPNHead',
            in_channels=8,
            feat_channels=8,
            anchor_generator=dict(
                type='AnchorGenerator' if stock else 'resnest_mm.AllValidAnchorGenerator',
                scales=[4],
                ratios=[0.5, 1.0, 2.0],
                strides=list(STRIDES),
            ),
            bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0),
        ),
        roi_head=roi_head,
        train_cfg=dict(
            rpn=dict(assigner=rpn_assigner, sampler={**everything, 'num': ANCHORS}, allowed_border=-1, pos_weight=-1),
            rpn_proposal=proposals,
            rcnn=rcnn,
        ),
        test_cfg=dict(
            rpn=proposals,
            rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100, mask_thr_binary=0.5),
        ),
    )


def _extractor(size: int) -> dict[str, Any]:
    return dict(
        type='SingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=size, sampling_ratio=0),
        out_channels=8,
        featmap_strides=[4, 8, 16, 32],
        finest_scale=12,
    )


def build(config: ConfigDict) -> Any:
    """Return a detector whose predictors have weights so large that scores differ and boxes move."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(copy.deepcopy(config))
    _widen(model.roi_head)
    nn.init.normal_(model.rpn_head.rpn_cls.weight, std=0.5)
    nn.init.normal_(model.rpn_head.rpn_reg.weight, std=0.2)
    return model


def build_roi_head(config: ConfigDict) -> Any:
    """Return a detector's RoI head alone, with such weights too."""
    torch.manual_seed(0)
    config = copy.deepcopy(config)
    config.roi_head.update(train_cfg=config.train_cfg.rcnn, test_cfg=config.test_cfg.rcnn)
    with DefaultScope.overwrite_default_scope('mmdet'):
        head = MODELS.build(config.roi_head)
    _widen(head)
    return head


def _widen(head: Any) -> None:
    for box_head in head.bbox_head:
        nn.init.normal_(box_head.fc_cls.weight, std=4)
        nn.init.normal_(box_head.fc_reg.weight, std=0.3)
    if head.with_mask:
        for mask_head in head.mask_head if isinstance(head.mask_head, nn.ModuleList) else [head.mask_head]:
            nn.init.normal_(mask_head.conv_logits.weight, std=1)


def stock_twin(head: Any) -> Any:
    """Return mmdet's cascade with the same weights, the mask head in each of its three stages."""
    twin = build_roi_head(model_config(stock=True))
    assert isinstance(twin, CascadeRoIHead)
    state = {}
    for key, value in head.state_dict().items():
        names = [key.replace('mask_head.', f'mask_head.{stage}.') for stage in range(3)]
        state.update(dict.fromkeys(names, value))
    twin.load_state_dict(state, strict=True)
    return twin


def images(seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the two images, each padded with zeros to the size of both."""
    generator = torch.Generator().manual_seed(seed)
    batch = torch.zeros(2, 3, *PADDED, dtype=dtype)
    for index, (height, width) in enumerate(SIZES):
        batch[index, :, :height, :width] = torch.randn(3, height, width, generator=generator, dtype=dtype)
    return batch


def data_samples(*, empty: tuple[int, ...] = (), dtype: torch.dtype = torch.float32) -> list[DetDataSample]:
    """Return the objects of the two images, with triangular masks; images in `empty` have none."""
    samples = []
    for index, (height, width) in enumerate(SIZES):
        boxes, labels = ((), ()) if index in empty else (BOXES[index], LABELS[index])
        objects = InstanceData(
            bboxes=torch.tensor(boxes, dtype=dtype).reshape(-1, 4),
            labels=torch.tensor(labels, dtype=torch.long),
            masks=BitmapMasks([_triangle(box) for box in boxes], *PADDED),
        )
        sample = DetDataSample(gt_instances=objects)
        sample.set_metainfo(
            dict(
                img_id=index,
                img_shape=(height, width),
                ori_shape=(height * 2, width * 2),
                pad_shape=(-(-height // 32) * 32, -(-width // 32) * 32),
                batch_input_shape=PADDED,
                scale_factor=(0.5, 0.5),
            )
        )
        samples.append(sample)
    return samples


def _triangle(box: tuple[int, int, int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Fill the box below the diagonal from its upper left corner."""
    mask = np.zeros(PADDED, dtype=np.uint8)
    x1, y1, x2, y2 = box
    for y in range(y1, y2):
        mask[y, x1 : x1 + (y - y1 + 1) * (x2 - x1) // (y2 - y1)] = 1
    return mask


def proposals(dtype: torch.dtype = torch.float32, per_image: int = 18) -> list[InstanceData]:
    """Return boxes near the objects and elsewhere, the same every time."""
    generator = torch.Generator().manual_seed(3)
    found = []
    for boxes, (height, width) in zip(BOXES, SIZES, strict=True):
        near = torch.tensor(boxes, dtype=dtype).repeat(per_image // len(boxes), 1)
        near = near + torch.randn(near.shape, generator=generator, dtype=dtype) * 8
        limits = torch.tensor([width, height, width, height], dtype=dtype)
        found.append(InstanceData(bboxes=near.clamp(min=0).minimum(limits), scores=near.new_ones(len(near))))
    return found
