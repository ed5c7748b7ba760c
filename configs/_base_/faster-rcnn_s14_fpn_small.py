"""Faster R-CNN with a ResNeSt-14 for small images and few minutes, from scratch.

Anchors and pooling levels are small, neck and heads narrow, and AdamW takes the place of SGD. A config that inherits it
adds data, classes, channels of the neck and a schedule.
"""

_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', './detection_runtime.py']

strides = [4, 8, 16, 32]
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    backbone=dict(
        _delete_=True, type='resnest_mm.ResNeSt', depth=14, norm_cfg=norm_cfg, norm_eval=False, frozen_stages=-1
    ),
    neck=dict(num_outs=4, norm_cfg=norm_cfg),
    rpn_head=dict(anchor_generator=dict(scales=[6], strides=strides)),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=strides, finest_scale=56),
        bbox_head=dict(fc_out_channels=256, reg_class_agnostic=True),
    ),
)

val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=10.0),
)
auto_scale_lr = dict(enable=False, base_batch_size=4)
randomness = dict(seed=0)
