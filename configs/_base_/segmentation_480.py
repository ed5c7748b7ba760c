"""Pipelines and loaders of PyTorch-Encoding's segmentors, for any data set: crops of 480 from images of 260 to 1040.

A test resizes the long side to 520 pixels, as the middle one of their six test scales, and runs the whole image once.
With `tools/test.py --tta` it follows their evaluator, which all published numbers come from.

Source: zhanghang1989/PyTorch-Encoding@ac74841, encoding/datasets and encoding/models/sseg/base.py. An earlier state,
e9faeb4, resized images bicubically.
"""

base_size = 520  # pixels of the long side
crop_size = (480, 480)  # pixels
backend = 'pillow'
# the file as it is stored: an orientation tag would turn the image but not its labels
load = dict(type='LoadImageFromFile', imdecode_backend=backend, color_type='color_ignore_orientation')
annotations = dict(type='LoadAnnotations')  # 0 is not labelled in both data sets, and their classes know

train_pipeline = [
    load,
    annotations,
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomResize',
        scale=(base_size, base_size),
        ratio_range=(0.5, 2 + 1 / base_size),  # every whole number of pixels from 260 to 1040 is as likely
        keep_ratio=True,
        backend=backend,
    ),
    # here, not in the preprocessor: the border is black, where zeros after the normalisation are the mean colour
    dict(type='Pad', size=crop_size, pad_val=dict(img=0, seg=255)),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.0),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    load,
    dict(type='Resize', scale=(base_size, base_size), keep_ratio=True, backend=backend),
    annotations,  # after the resize, for labels of the original size
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=2,  # images per GPU, of 8
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=test_pipeline, test_mode=True),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])  # pixAcc is its aAcc
test_evaluator = val_evaluator

tta_model = dict(
    type='resnest_mm.MultiScaleSlideTTA',
    base_size=base_size,
    crop_size=480,
    scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75),
    flip=True,
)
tta_pipeline = [load, annotations, dict(type='PackSegInputs')]
