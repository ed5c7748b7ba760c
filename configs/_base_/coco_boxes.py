"""Boxes of COCO as the authors' box detectors get them: the short side is any whole number from 640 to 800.

Images are decoded and resized by PIL, as in detectron2. Objects whose polygons all have fewer than three points are
left out, and then images on which only crowds or nothing remain. What remains different: mmdet leaves out objects of
less than one pixel, which detectron2 trains on. Where the limit of 1333 makes the short side end in one half,
detectron2 rounds twice, so that an image may be one pixel smaller or larger. A test has one scale; with
`tools/test.py --tta` it has the 18 views that detectron2-ResNeSt has where TEST.AUG is enabled, three of them at once.

Source: detectron2-ResNeSt@54ec876, detectron2/data and detectron2/modeling/test_time_augmentation.py.
"""

_base_ = 'mmdet::_base_/datasets/coco_detection.py'

backend = 'pillow'
load = dict(type='LoadImageFromFile', imdecode_backend=backend)
test_resize = dict(type='Resize', scale=(1333, 800), keep_ratio=True, backend=backend)

train_pipeline = [
    load,
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=[(1333, 640), (1333, 800)], keep_ratio=True, backend=backend),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    load,
    test_resize,
    dict(type='LoadAnnotations', with_bbox=True),  # after the resize, for boxes of the original size
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=2,  # images per GPU, of 8
    num_workers=4,
    sampler=dict(type='InfiniteSampler'),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(
        type='resnest_mm.Detectron2CocoDataset',
        pipeline=train_pipeline,
        filter_cfg=dict(filter_empty_gt=True, min_size=0),
    ),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

tta_model = dict(type='resnest_mm.DetMaskTTAModel')
tta_pipeline = [
    load,
    test_resize,  # the views are made of the image that a plain test sees
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=(4000, short_side), keep_ratio=True, backend=backend)
                for short_side in range(400, 1201, 100)
            ],
            [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
            [dict(type='PackDetInputs')],
        ],
    ),
]
