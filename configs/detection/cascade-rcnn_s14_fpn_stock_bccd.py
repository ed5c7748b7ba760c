"""The BCCD Cascade R-CNN with mmdet's parts where the config beside it has those of the paper's detectors.

Stages two and three sample anew, gradients are whole, logits are averaged, RPN targets are mmdet's, and batch norm
keeps the statistics of training. Losses and their weights are the same in both, so that only parts differ.

    python tools/train.py configs/detection/cascade-rcnn_s14_fpn_stock_bccd.py --cfg-options data_root=data/bccd
"""

_base_ = './cascade-rcnn_s14_fpn_bccd.py'

model = dict(
    rpn_head=dict(anchor_generator=dict(type='AnchorGenerator')),
    roi_head=dict(type='CascadeRoIHead'),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                _delete_=True,
                type='MaxIoUAssigner',
                pos_iou_thr=0.7,
                neg_iou_thr=0.3,
                min_pos_iou=0.3,
                match_low_quality=True,
                ignore_iof_thr=-1,
            ),
        ),
        rcnn=[dict(stage, sampler=_base_.sampler) for stage in _base_.model.train_cfg.rcnn],
    ),
)
custom_hooks = []
