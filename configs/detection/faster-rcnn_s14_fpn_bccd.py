"""Faster R-CNN with a ResNeSt-14, from scratch, on the blood-smear photographs of BCCD: half an hour on two CPU cores.

A starting point for a small Pascal-VOC folder of your own: change `data_root`, `classes` and `image_size`.

    python tools/train.py configs/detection/faster-rcnn_s14_fpn_bccd.py --cfg-options data_root=data/bccd

The folder holds JPEGImages/*.jpg, Annotations/*.xml and ImageSets/Main/{train,val,test}.txt. A folder named otherwise
than `data/bccd` needs nothing but that option.
"""

_base_ = '../_base_/faster-rcnn_s14_fpn_small.py'

data_root = 'data/bccd/'
classes = ('RBC', 'WBC', 'Platelets')
image_size = (320, 240)  # pixels, width and height; the photographs have 640 x 480
max_iters = 800
neck_channels = 96

model = dict(
    neck=dict(out_channels=neck_channels),
    rpn_head=dict(in_channels=neck_channels, feat_channels=neck_channels),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=neck_channels),
        bbox_head=dict(in_channels=neck_channels, num_classes=len(classes)),
    ),
    train_cfg=dict(rpn_proposal=dict(nms_pre=500, max_per_img=300), rcnn=dict(sampler=dict(num=128))),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1)),  # two boxes of the data set have no area
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='RandomFlip', prob=0.75, direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances'),
    ),
]
dataset = dict(
    type='VOCDataset', data_root=data_root, metainfo=dict(classes=classes), data_prefix=dict(sub_data_root='')
)
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        ann_file='ImageSets/Main/train.txt',
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline,
        **dataset,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(ann_file='ImageSets/Main/val.txt', test_mode=True, pipeline=test_pipeline, **dataset),
)
test_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(ann_file='ImageSets/Main/test.txt', test_mode=True, pipeline=test_pipeline, **dataset),
)
val_evaluator = dict(type='CocoMetric', metric='bbox')  # COCO's measure, on the annotations of the folder
test_evaluator = val_evaluator

train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=200)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=50, end=max_iters, T_max=max_iters - 50),
]
default_hooks = dict(checkpoint=dict(interval=200))
