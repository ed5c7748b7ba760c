"""DeepLabV3 with a ResNeSt-50 on your own images: a folder of photographs and a folder of label PNGs. A template.

Copy it, change the lines that say CHANGE, and start it on one GPU:

    cp configs/segmentation/deeplabv3_s50-d8_custom.py configs/segmentation/mine.py
    python tools/train.py segmentation/mine

What came out: a table, curves and some images; then every image of the validation, your labels beside the answer, which
also shows whether the labels were read as meant:

    python tools/report.py segmentation/mine work_dirs/mine
    python tools/test.py segmentation/mine "$(cat work_dirs/mine/last_checkpoint)" --show-dir work_dirs/mine/drawn
"""

_base_ = '../_base_/segmentation_runtime.py'

# CHANGE: where the data is. Below it images/train/a.jpg belongs to labels/train/a.png; the same for val.
data_root = 'data/mine/'
image_suffix, label_suffix = '.jpg', '.png'

# A label PNG has one channel of 8 bits, and its values are the positions in `classes`: 0 is the first. A palette PNG is
# read as its indices; a map of RGB colours has to be turned into indices first. Value 255 is ignored, in the losses and
# in the metric. Any other value without a class breaks the training (on a GPU as "device-side assert triggered").
# CHANGE: names of your classes in the order of their values, and a display colour (RGB) for each.
metainfo = dict(
    classes=('background', 'thing', 'stuff'),
    palette=[[0, 0, 0], [220, 60, 60], [60, 140, 220]],
)
num_classes = 3  # CHANGE: as many

# False where 0 is a class, as above. True where 0 means "not labelled": it is then ignored, the first of `classes` has
# value 1, and none of them is a background.
reduce_zero_label = False

# CHANGE to what fits: a step of the training sees batch_size crops. Halve the batch where memory runs out, before the
# crop; a crop smaller than the things that you look for hides what they are. Both sides in multiples of 32.
crop_size = (480, 480)  # pixels, height and width
image_size = (1024, 512)  # pixels: images are brought to this long and short side at most, times 0.5 to 2 in training
batch_size = 4  # with plain batch norm 4 is about the least; for several GPUs see norm_cfg
max_iters = 20000  # CHANGE: about 50 times the number of your training images / batch_size

# The learning rate follows the batch: 0.01 for 16 crops. Several GPUs are started with
#     torchrun --nproc_per_node 4 tools/train.py segmentation/mine --launcher pytorch --auto-scale-lr
# which counts the crops of all of them.
base_lr = 0.01 * batch_size / 16

norm_cfg = dict(type='BN', requires_grad=True)  # 'SyncBN' on several GPUs
loss = dict(type='resnest_mm.LabelledCrossEntropyLoss')  # class_weight=[1.0, ...] lifts rare classes
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(  # mean, std and RGB are those of the weights below; leave them
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=crop_size,
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type='resnest_mm.ResNeSt',
        variant='resnest50',  # for less memory 'resnest26', with 'timm/resnest26d.gluon_in1k' as its checkpoint
        strides=(1, 2, 1, 1),  # output stride 8
        dilations=(1, 1, 2, 4),
        norm_cfg=norm_cfg,
        init_cfg=dict(type='Pretrained', checkpoint='resnest50'),  # downloaded once; a path works as well
    ),
    decode_head=dict(
        type='resnest_mm.DeepLabV3Head',
        in_channels=2048,
        in_index=3,
        channels=256,
        num_classes=num_classes,
        dropout_ratio=0.1,
        align_corners=True,
        norm_cfg=norm_cfg,
        loss_decode=dict(loss_weight=1.0, **loss),
    ),
    auxiliary_head=dict(  # helps the training only; a test does not use it
        type='resnest_mm.FCNHead',
        in_channels=1024,
        in_index=2,
        channels=256,
        num_classes=num_classes,
        dropout_ratio=0.1,
        align_corners=True,
        norm_cfg=norm_cfg,
        loss_decode=dict(loss_weight=0.2, **loss),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),  # or, for very large ones, dict(mode='slide', crop_size=crop_size, stride=(320, 320))
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=image_size, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),  # at most 75 % of a crop are one class
    dict(type='RandomFlip', prob=0.5),  # remove it where left and right are different classes
    dict(type='PhotoMetricDistortion'),  # remove it where colour or brightness decides the class
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='LoadAnnotations'),  # after the resize: the metric is computed at the labels' own size
    dict(type='PackSegInputs'),
]
dataset = dict(
    type='BaseSegDataset',
    data_root=data_root,
    metainfo=metainfo,
    reduce_zero_label=reduce_zero_label,
    img_suffix=image_suffix,
    seg_map_suffix=label_suffix,
)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        data_prefix=dict(img_path='images/train', seg_map_path='labels/train'), pipeline=train_pipeline, **dataset
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
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

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=base_lr, momentum=0.9, weight_decay=1e-4),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=500),
    dict(type='PolyLR', power=0.9, eta_min=1e-5, by_epoch=False, begin=500, end=max_iters),
]
auto_scale_lr = dict(enable=False, base_batch_size=batch_size)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters // 10)
default_hooks = dict(
    checkpoint=dict(interval=max_iters // 10),
    visualization=dict(interval=1),  # with --show-dir, every image instead of one in fifty
)
