"""Boxes and masks of COCO as the authors' mask detectors get them: the short side is one of six sizes, 640 to 800.

Masks stay polygons until the loss.

Source: detectron2-ResNeSt@54ec876, configs/COCO-InstanceSegmentation.
"""

_base_ = './coco_boxes.py'

annotations = dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=False)
train_pipeline = [
    _base_.load,
    annotations,
    dict(
        type='RandomChoiceResize',
        scales=[(1333, short_side) for short_side in range(640, 801, 32)],
        keep_ratio=True,
        backend=_base_.backend,
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    _base_.load,
    _base_.test_resize,
    annotations,
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator
