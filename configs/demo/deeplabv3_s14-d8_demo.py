"""DeepLabV3 with a ResNeSt-14, from scratch, on the semantic maps of the embedded demo data: minutes on two CPU cores.

python tools/make_demo_data.py data/demo
python tools/train.py configs/demo/deeplabv3_s14-d8_demo.py --work-dir work_dirs/demo-seg
"""

_base_ = '../_base_/deeplabv3_s14-d8_small.py'

data_root = 'data/demo/'
metainfo = dict(
    classes=('background', 'disc', 'triangle', 'square', 'star', 'ring'),
    palette=[[32, 32, 32], [230, 80, 60], [70, 160, 240], [250, 200, 60], [90, 200, 110], [190, 100, 220]],
)
# Shapes are told apart by their outline, so many small views teach more in the same time than few large ones.
train_scale = dict(scale=(128, 128), ratio_range=(0.5625, 0.9))  # of the images' 128 pixels
crop_size = (72, 72)  # pixels, height and width
test_scale = (96, 96)  # pixels, width and height
class_weight = [0.4, 1.0, 1.0, 1.0, 1.0, 1.0]  # four of five pixels are background
max_iters = 1100

model = dict(
    data_preprocessor=dict(size=crop_size),
    decode_head=dict(num_classes=6, channels=32, rates=(1, 2, 3), loss_decode=dict(class_weight=class_weight)),
    auxiliary_head=dict(num_classes=6, channels=32, loss_decode=dict(class_weight=class_weight, loss_weight=0.4)),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', keep_ratio=True, **train_scale),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.9),
    dict(type='RandomFlip', prob=0.75, direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=test_scale, keep_ratio=True),
    dict(type='LoadAnnotations'),  # after the resize: the metric is computed at the labels' own size
    dict(type='PackSegInputs'),
]
dataset = dict(
    type='BaseSegDataset',
    data_root=data_root,
    metainfo=metainfo,
    img_suffix='.jpg',
    seg_map_suffix='.png',
)
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(data_prefix=dict(img_path='train', seg_map_path='semantic/train'), pipeline=train_pipeline, **dataset),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        data_prefix=dict(img_path='val', seg_map_path='semantic/val'), test_mode=True, pipeline=test_pipeline, **dataset
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator

train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=550)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=50, end=max_iters, T_max=max_iters - 50),
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=550))
