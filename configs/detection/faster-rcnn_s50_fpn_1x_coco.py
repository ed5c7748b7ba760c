"""Faster R-CNN with a ResNeSt-50 on COCO: 90,000 iterations of 16 images, scales 640 to 800.

The paper's authors report 42.33 box AP for this recipe (`faster_rcnn_ResNeSt_50_FPN_syncbn_range-scale_1x` of
zhanghang1989/ResNeSt). What stands here is every part of it that a config can say; precise batch norm statistics, their
synchronised batch norm and their RPN targets are not in mmdet.

    torchrun --nproc_per_node 8 tools/train.py configs/detection/faster-rcnn_s50_fpn_1x_coco.py --launcher pytorch
    python tools/train.py configs/detection/faster-rcnn_s50_fpn_1x_coco.py --single-gpu
"""

_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', 'mmdet::common/ms-90k_coco.py']

norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    data_preprocessor=dict(  # RGB, as the released weights expect
        mean=[123.68, 116.779, 103.939],
        std=[58.393, 57.12, 57.375],
    ),
    backbone=dict(
        _delete_=True,
        type='resnest_mm.ResNeSt',
        variant='resnest50',
        frozen_stages=1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnest50'),
    ),
    neck=dict(norm_cfg=norm_cfg, init_cfg=dict(type='Caffe2Xavier', layer='Conv2d')),
    roi_head=dict(
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead',
            conv_out_channels=256,
            norm_cfg=norm_cfg,
            init_cfg=[
                dict(type='Normal', std=0.01, override=dict(name='fc_cls')),
                dict(type='Normal', std=0.001, override=dict(name='fc_reg')),
                dict(type='Caffe2Xavier', override=dict(name='shared_fcs')),
            ],
        )
    ),
)

backend = 'pillow'  # the authors' decoder and resize, in training and test
train_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend=backend),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=[(1333, 640), (1333, 800)], keep_ratio=True, backend=backend),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    dataset=dict(pipeline=train_pipeline, filter_cfg=dict(filter_empty_gt=True, min_size=0)),
)

max_iters = 90000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0),
)
param_scheduler = [
    # mmengine reaches the full rate at end - 1, so 1001 makes a warm-up of 1000 iterations
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1001),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=max_iters, milestones=[60000, 80000], gamma=0.1),
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
