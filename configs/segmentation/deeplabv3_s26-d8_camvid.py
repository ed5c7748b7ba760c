"""DeepLabV3 with a ResNeSt-26 at half width, from scratch, on the road scenes of CamVid: 20 minutes on two CPU cores.

    python tools/train.py configs/segmentation/deeplabv3_s26-d8_camvid.py --cfg-options data_root=data/camvid

The folder holds images/{train,val}/*.jpg of 480x360 pixels and labels/{train,val}/*.png with class indices 0 to 10 and
255 for what is not labelled.
"""

_base_ = '../_base_/deeplabv3_s14-d8_small.py'

data_root = 'data/camvid/'
metainfo = dict(
    classes=(
        'sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign', 'fence', 'car', 'pedestrian', 'bicyclist',
    ),
    palette=[
        [128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [60, 40, 222], [128, 128, 0],
        [192, 128, 128], [64, 64, 128], [64, 0, 128], [64, 64, 0], [0, 128, 192],
    ],
)  # fmt: skip
crop_size = (192, 192)  # pixels, height and width
max_iters = 800
# one over the square root of a class's share of the training pixels, so that poles and people are learned as well
class_weight = [0.9, 0.8, 3.6, 0.6, 1.7, 1.2, 3.3, 3.4, 1.5, 4.6, 6.5]

model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(depth=26),
    decode_head=dict(num_classes=11, rates=(3, 6, 9), loss_decode=dict(class_weight=class_weight)),
    auxiliary_head=dict(num_classes=11, loss_decode=dict(class_weight=class_weight)),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(480, 360), ratio_range=(0.55, 1.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(384, 288), keep_ratio=True),
    dict(type='LoadAnnotations'),  # after the resize: the metric is computed at the labels' own size
    dict(type='PackSegInputs'),
]
dataset = dict(type='BaseSegDataset', data_root=data_root, metainfo=metainfo, img_suffix='.jpg', seg_map_suffix='.png')
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        data_prefix=dict(img_path='images/train', seg_map_path='labels/train'), pipeline=train_pipeline, **dataset
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        data_prefix=dict(img_path='images/val', seg_map_path='labels/val'),
        test_mode=True,
        pipeline=test_pipeline,
        **dataset,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator

train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=400)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=50, end=max_iters, T_max=max_iters - 50),
]
auto_scale_lr = dict(enable=False, base_batch_size=4)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=400))
optim_wrapper = dict(optimizer=dict(lr=2e-3))
