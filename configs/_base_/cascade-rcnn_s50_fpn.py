"""The authors' Cascade R-CNN with a ResNeSt-50: their Faster R-CNN with three box heads, at IoU 0.5, 0.6 and 0.7.

Every stage has the weight 1 and L1 losses, as the RPN has. The first stage samples from 2000 proposals of an image, the
others take all boxes of the stage before.

Source: detectron2-ResNeSt@54ec876, detectron2/modeling/roi_heads/cascade_rcnn.py.
"""

_base_ = './faster-rcnn_s50_fpn.py'

model = dict(
    type='CascadeRCNN',
    roi_head=dict(
        type='resnest_mm.Detectron2CascadeRoIHead',
        num_stages=3,
        stage_loss_weights=[1, 1, 1],
        bbox_head=[
            dict(
                _base_.model.roi_head.bbox_head,
                reg_class_agnostic=True,
                bbox_coder=dict(
                    type='DeltaXYWHBBoxCoder',
                    target_means=[0.0, 0.0, 0.0, 0.0],
                    target_stds=[1 / weight, 1 / weight, 2 / weight, 2 / weight],
                ),
            )
            for weight in (10, 20, 30)
        ],
    ),
    train_cfg=dict(
        rpn_proposal=dict(max_per_img=2000),
        rcnn=[
            _base_.model.train_cfg.rcnn,
            *(
                dict(
                    assigner=dict(
                        _base_.model.train_cfg.rcnn.assigner, pos_iou_thr=iou, neg_iou_thr=iou, min_pos_iou=iou
                    ),
                    pos_weight=-1,
                )
                for iou in (0.6, 0.7)
            ),
        ],
    ),
)
