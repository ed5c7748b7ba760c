"""Cityscapes as mmseg reads it: crops of 512x1024 from images at half to twice their size, 8 in a step.

`data_root` holds leftImg8bit/{train,val} and gtFine/{train,val}, with the *_labelTrainIds.png that mmseg's converter
writes.
"""

_base_ = './mmseg_data.py'

data_root = 'data/cityscapes/'
crop_size = (512, 1024)  # pixels, height and width
image_size = (2048, 1024)  # pixels, width and height

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=image_size, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='LoadAnnotations'),  # after the resize: the metric is computed at the labels' own size
    dict(type='PackSegInputs'),
]
dataset = dict(type='CityscapesDataset', data_root=data_root)
train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    dataset=dict(
        data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'), pipeline=train_pipeline, **dataset
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'), pipeline=test_pipeline, **dataset
    ),
)
test_dataloader = val_dataloader
auto_scale_lr = dict(enable=False, base_batch_size=8)
