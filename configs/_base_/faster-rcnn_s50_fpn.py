"""The authors' Faster R-CNN with a ResNeSt-50: synchronised batch norm in backbone, neck and box head.

Their detectors start from a file of their own, `resnest50_detectron-255b5649.pth`, which cannot be downloaded any more.
open-mmlab's file takes its place. Whether the two hold the same values has not been checked. What remains different:
mmdet's box coder also limits how much a box shrinks. Of two objects with the same box each keeps its own class, where
detectron2 trains both with the class of the first.

Source: detectron2-ResNeSt@54ec876, configs/COCO-Detection and detectron2/modeling.
"""

_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'

norm_cfg = dict(type='resnest_mm.NaiveSyncBN', requires_grad=True)
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
    rpn_head=dict(
        type='resnest_mm.Detectron2RPNHead', anchor_generator=dict(type='resnest_mm.AllValidAnchorGenerator')
    ),
    roi_head=dict(
        bbox_head=dict(
            type='resnest_mm.Detectron2Shared4Conv1FCBBoxHead',
            conv_out_channels=256,
            norm_cfg=norm_cfg,
            init_cfg=[
                dict(type='Normal', std=0.01, override=dict(name='fc_cls')),
                dict(type='Normal', std=0.001, override=dict(name='fc_reg')),
                dict(type='Caffe2Xavier', override=dict(name='shared_fcs')),
            ],
        ),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(_delete_=True, type='resnest_mm.Detectron2RPNAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3),
        ),
    ),
)
