"""RetinaNet with a ResNeSt-50 on COCO: 90,000 iterations of 16 images, short sides from 640 to 800 pixels.

Nobody has published a number for it, and it has not been trained here. Data, schedule, backbone and its norms are those
of the authors' Faster R-CNN; neck, head and learning rate are mmdet's for a ResNet-50, without norms. The augmented
test is mmdet's as well, since that of the authors needs two stages.

    torchrun --nproc_per_node 8 tools/train.py detection/retinanet_s50_fpn_1x_coco --launcher pytorch
"""

_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py', '../_base_/coco_boxes.py', '../_base_/detection_1x.py']

model = dict(
    data_preprocessor=dict(mean=[123.68, 116.779, 103.939], std=[58.393, 57.12, 57.375]),
    backbone=dict(
        _delete_=True,
        type='resnest_mm.ResNeSt',
        variant='resnest50',
        frozen_stages=1,
        norm_cfg=dict(type='resnest_mm.NaiveSyncBN', requires_grad=True),
        norm_eval=False,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnest50'),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=0.01))

tta_model = dict(
    _delete_=True, type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)
)
tta_pipeline = [
    _base_.load,
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=scale, keep_ratio=True, backend=_base_.backend)
                for scale in ((1333, 800), (666, 400), (2000, 1200))
            ],
            [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)],
            [
                dict(
                    type='PackDetInputs',
                    meta_keys=(
                        'img_id',
                        'img_path',
                        'ori_shape',
                        'img_shape',
                        'scale_factor',
                        'flip',
                        'flip_direction',
                    ),
                )
            ],
        ],
    ),
]
