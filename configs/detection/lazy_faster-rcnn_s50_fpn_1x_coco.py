"""The recipe of `faster-rcnn_s50_fpn_1x_coco.py` in mmengine's pure Python style, value by value the same.

Classes are imported, so an editor finds and completes them, and the whole recipe stands in one file. A config in this
style can inherit, by `with read_base():`, from others in this style and from those without `_base_`. 'RoIAlign', 'nms'
and the types of `init_cfg` stay names: the copy of the config that a training writes has 'mmcv.ops.RoIAlign' for an
imported one, and where these are looked up only the short name is known.

    torchrun --nproc_per_node 8 tools/train.py detection/lazy_faster-rcnn_s50_fpn_1x_coco --launcher pytorch
"""

from mmcv.transforms import LoadImageFromFile, RandomResize, TestTimeAug
from mmdet.datasets import AspectRatioBatchSampler, CocoDataset
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs, RandomFlip, Resize
from mmdet.evaluation import CocoMetric
from mmdet.models import (
    FPN,
    CrossEntropyLoss,
    DetDataPreprocessor,
    FasterRCNN,
    L1Loss,
    SingleRoIExtractor,
    StandardRoIHead,
)
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.samplers import RandomSampler
from mmengine.config import read_base
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.optim import LinearLR, MultiStepLR, OptimWrapper
from mmengine.runner import IterBasedTrainLoop, TestLoop, ValLoop
from torch.optim import SGD

from resnest_mm import ResNeSt
from resnest_mm.detection.box_head import Detectron2Shared4Conv1FCBBoxHead
from resnest_mm.detection.coco import Detectron2CocoDataset
from resnest_mm.detection.rpn_anchors import AllValidAnchorGenerator
from resnest_mm.detection.rpn_assigner import Detectron2RPNAssigner
from resnest_mm.detection.rpn_head import Detectron2RPNHead
from resnest_mm.detection.test_time.mask_tta import DetMaskTTAModel
from resnest_mm.models.layers.naive_sync_bn import NaiveSyncBN
from resnest_mm.training.hooks.precise_bn import PreciseBNHook

with read_base():
    from .._base_.detection_runtime import *  # noqa: F403

norm_cfg = dict(type=NaiveSyncBN, requires_grad=True)
model = dict(
    type=FasterRCNN,
    data_preprocessor=dict(
        type=DetDataPreprocessor,
        mean=[123.68, 116.779, 103.939],
        std=[58.393, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type=ResNeSt,
        variant='resnest50',
        frozen_stages=1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnest50'),
    ),
    neck=dict(
        type=FPN,
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        num_outs=5,
        norm_cfg=norm_cfg,
        init_cfg=dict(type='Caffe2Xavier', layer='Conv2d'),
    ),
    rpn_head=dict(
        type=Detectron2RPNHead,
        in_channels=256,
        feat_channels=256,
        anchor_generator=dict(
            type=AllValidAnchorGenerator, scales=[8], ratios=[0.5, 1.0, 2.0], strides=[4, 8, 16, 32, 64]
        ),
        bbox_coder=dict(type=DeltaXYWHBBoxCoder, target_means=[0.0, 0.0, 0.0, 0.0], target_stds=[1.0, 1.0, 1.0, 1.0]),
        loss_cls=dict(type=CrossEntropyLoss, use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type=L1Loss, loss_weight=1.0),
    ),
    roi_head=dict(
        type=StandardRoIHead,
        bbox_roi_extractor=dict(
            type=SingleRoIExtractor,
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32],
        ),
        bbox_head=dict(
            type=Detectron2Shared4Conv1FCBBoxHead,
            in_channels=256,
            conv_out_channels=256,
            fc_out_channels=1024,
            roi_feat_size=7,
            num_classes=80,
            norm_cfg=norm_cfg,
            bbox_coder=dict(
                type=DeltaXYWHBBoxCoder, target_means=[0.0, 0.0, 0.0, 0.0], target_stds=[0.1, 0.1, 0.2, 0.2]
            ),
            reg_class_agnostic=False,
            loss_cls=dict(type=CrossEntropyLoss, use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type=L1Loss, loss_weight=1.0),
            init_cfg=[
                dict(type='Normal', std=0.01, override=dict(name='fc_cls')),
                dict(type='Normal', std=0.001, override=dict(name='fc_reg')),
                dict(type='Caffe2Xavier', override=dict(name='shared_fcs')),
            ],
        ),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(type=Detectron2RPNAssigner, pos_iou_thr=0.7, neg_iou_thr=0.3),
            sampler=dict(type=RandomSampler, num=256, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        rpn_proposal=dict(nms_pre=2000, max_per_img=1000, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(
            assigner=dict(
                type=MaxIoUAssigner,
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.5,
                match_low_quality=False,
                ignore_iof_thr=-1,
            ),
            sampler=dict(type=RandomSampler, num=512, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True),
            pos_weight=-1,
            debug=False,
        ),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=1000, max_per_img=1000, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
    ),
)

data_root = 'data/coco/'
backend = 'pillow'
load = dict(type=LoadImageFromFile, imdecode_backend=backend)
test_resize = dict(type=Resize, scale=(1333, 800), keep_ratio=True, backend=backend)
train_pipeline = [
    load,
    dict(type=LoadAnnotations, with_bbox=True),
    dict(type=RandomResize, scale=[(1333, 640), (1333, 800)], keep_ratio=True, backend=backend),
    dict(type=RandomFlip, prob=0.5),
    dict(type=PackDetInputs),
]
test_pipeline = [
    load,
    test_resize,
    dict(type=LoadAnnotations, with_bbox=True),
    dict(type=PackDetInputs, meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type=InfiniteSampler, shuffle=True),
    batch_sampler=dict(type=AspectRatioBatchSampler),
    dataset=dict(
        type=Detectron2CocoDataset,
        data_root=data_root,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=0),
        pipeline=train_pipeline,
        backend_args=None,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(
        type=CocoDataset,
        data_root=data_root,
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=test_pipeline,
        backend_args=None,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type=CocoMetric,
    ann_file=data_root + 'annotations/instances_val2017.json',
    metric='bbox',
    format_only=False,
    backend_args=None,
)
test_evaluator = val_evaluator

tta_model = dict(type=DetMaskTTAModel)
tta_pipeline = [
    load,
    test_resize,
    dict(
        type=TestTimeAug,
        transforms=[
            [
                dict(type=Resize, scale=(4000, short_side), keep_ratio=True, backend=backend)
                for short_side in range(400, 1201, 100)
            ],
            [dict(type=RandomFlip, prob=0.0), dict(type=RandomFlip, prob=1.0)],
            [dict(type=PackDetInputs)],
        ],
    ),
]

max_iters = 90000
train_cfg = dict(type=IterBasedTrainLoop, max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type=ValLoop)
test_cfg = dict(type=TestLoop)
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=SGD, lr=0.02, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.001, by_epoch=False, begin=0, end=1001),
    dict(type=MultiStepLR, by_epoch=False, begin=0, end=max_iters, milestones=[60000, 80000], gamma=0.1),
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
custom_hooks = [dict(type=PreciseBNHook, num_iters=200)]
default_hooks.merge(dict(checkpoint=dict(interval=5000)))  # noqa: F405
