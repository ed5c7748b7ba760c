"""ADE20K as mmseg reads it: crops of 512x512 from images whose short side is 256 to 1024, 16 in a step.

`data_root` holds images/{training,validation} and annotations/{training,validation} of the scene parsing challenge.
Label 0 there is no class and is ignored; mmseg's ADE20KDataset sees to it.
"""

_base_ = './mmseg_data.py'

data_root = 'data/ade/ADEChallengeData2016'
crop_size = (512, 512)  # pixels, height and width
image_size = (2048, 512)  # pixels that the long and the short side have at most

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
dataset = dict(type='ADE20KDataset', data_root=data_root)
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    dataset=dict(
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
        pipeline=train_pipeline,
        **dataset,
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
        pipeline=test_pipeline,
        **dataset,
    ),
)
test_dataloader = val_dataloader
auto_scale_lr = dict(enable=False, base_batch_size=16)
