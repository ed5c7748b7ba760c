"""Cascade R-CNN with a ResNeSt-14, from scratch, on BCCD, with the parts of the paper's detectors that boxes have.

Data, network and optimiser are those of the Faster R-CNN beside it; heads, losses, RPN targets, scaled gradients and
precise batch norm are those of the authors' Cascade R-CNN. `cascade-rcnn_s14_fpn_stock_bccd.py` is the same detector
with mmdet's own parts.

    python tools/train.py configs/detection/cascade-rcnn_s14_fpn_bccd.py --cfg-options data_root=data/bccd
"""

_base_ = './faster-rcnn_s14_fpn_bccd.py'

max_iters = 500
sampler = dict(type='RandomSampler', num=128, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True)
model = dict(
    type='CascadeRCNN',
    rpn_head=dict(anchor_generator=dict(type='resnest_mm.AllValidAnchorGenerator')),
    roi_head=dict(
        type='resnest_mm.Detectron2CascadeRoIHead',
        num_stages=3,
        stage_loss_weights=[1, 1, 1],
        bbox_head=[
            dict(
                type='Shared2FCBBoxHead',
                in_channels=_base_.neck_channels,
                fc_out_channels=256,
                roi_feat_size=7,  # pixels
                num_classes=len(_base_.classes),
                reg_class_agnostic=True,
                bbox_coder=dict(
                    type='DeltaXYWHBBoxCoder',
                    target_means=[0.0, 0.0, 0.0, 0.0],
                    target_stds=[1 / weight, 1 / weight, 2 / weight, 2 / weight],
                ),
                loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
                loss_bbox=dict(type='L1Loss', loss_weight=1.0),
            )
            for weight in (10, 20, 30)
        ],
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(_delete_=True, type='resnest_mm.Detectron2RPNAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3),
        ),
        rcnn=[
            dict(
                assigner=dict(
                    type='MaxIoUAssigner',
                    pos_iou_thr=iou,
                    neg_iou_thr=iou,
                    min_pos_iou=iou,
                    match_low_quality=False,
                    ignore_iof_thr=-1,
                ),
                pos_weight=-1,
                debug=False,
                **({} if iou > 0.5 else dict(sampler=sampler)),  # later stages take all boxes of the one before
            )
            for iou in (0.5, 0.6, 0.7)
        ],
    ),
)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=50, end=max_iters, T_max=max_iters - 50),
]
custom_hooks = [dict(type='resnest_mm.PreciseBNHook', num_iters=100)]
default_hooks = dict(checkpoint=dict(interval=max_iters))
