"""Boxes and masks of COCO for the authors' ResNeSt-200 with all tricks: crops around an object, larger scales.

A test is as without tricks. After the crop boxes are those of the cropped polygons, and objects without one are gone.

Source: detectron2-ResNeSt@54ec876, configs/COCO-InstanceSegmentation.
"""

_base_ = './coco_masks.py'

train_pipeline = [
    _base_.load,
    _base_.annotations,
    dict(type='resnest_mm.CropAroundInstance', crop_range=(0.9, 1.0)),
    dict(type='RandomResize', scale=[(1440, 640), (1440, 864)], keep_ratio=True, backend=_base_.backend),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
