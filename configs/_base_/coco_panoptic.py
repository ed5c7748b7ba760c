"""Objects and stuff of COCO as the authors' panoptic model gets them: short sides from 400 to 1000, no crop.

Boxes and masks are those of the instance files, and images without an object stay. Stuff comes from maps in which 0 is
things, 1 to 53 is stuff and 255 neither:

    python tools/make_stuff_maps.py data/coco/annotations/panoptic_train2017.json \\
        data/coco/annotations/panoptic_train2017 data/coco/annotations/panoptic_stuff_train2017

A test measures PQ, which needs panopticapi, and box and mask AP.

Source: detectron2-ResNeSt@54ec876, configs/COCO-PanopticSegmentation and detectron2/data/datasets.
"""

_base_ = './coco_masks.py'

train_pipeline = [
    _base_.load,
    dict(_base_.annotations, with_seg=True),
    dict(type='RandomResize', scale=[(1440, 400), (1440, 1000)], keep_ratio=True, backend=_base_.backend),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [_base_.load, _base_.test_resize, _base_.test_pipeline[-1]]
train_dataloader = dict(
    dataset=dict(
        data_prefix=dict(img='train2017/', seg='annotations/panoptic_stuff_train2017/'),
        filter_cfg=dict(filter_empty_gt=False),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='CocoPanopticDataset',
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(
        type='CocoPanopticMetric',
        ann_file='data/coco/annotations/panoptic_val2017.json',
        seg_prefix='data/coco/annotations/panoptic_val2017/',
    ),
    dict(type='CocoMetric', ann_file='data/coco/annotations/instances_val2017.json', metric=['bbox', 'segm']),
]
test_evaluator = val_evaluator
