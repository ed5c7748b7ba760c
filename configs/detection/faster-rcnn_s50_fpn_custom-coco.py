"""Faster R-CNN with a ResNeSt-50 on your own images with boxes in a COCO JSON file, on one GPU. A template.

Copy it, change the lines that say CHANGE, and start it:

    cp configs/detection/faster-rcnn_s50_fpn_custom-coco.py configs/detection/mine.py
    python tools/train.py detection/mine

What came out: a table, curves and some images; then every image of the validation, your boxes beside those found, in
a folder `drawn` below `work_dirs/mine` and the time of the run:

    python tools/report.py detection/mine work_dirs/mine
    python tools/test.py detection/mine "$(cat work_dirs/mine/last_checkpoint)" --show-dir drawn

The numbers below are a careful start for small batches; they have not been tuned on any data.
"""

_base_ = './faster-rcnn_s50_fpn_1x_single-gpu_coco.py'  # backbone with the fixed running statistics of ImageNet

# CHANGE: where the data is. `file_name` in the JSON files is relative to the image folder of the split.
data_root = 'data/mine/'
train_file, train_images = 'annotations/train.json', 'train/'
val_file, val_images = 'annotations/val.json', 'val/'

# CHANGE: names of your classes, spelt as in `categories` of the JSON files and in the order in which they stand there.
# Labels follow the order of the files, so a name that is missing in them shifts the names after it to wrong boxes.
# Boxes of other categories are left out. Beside the names a display colour (RGB) for each. A single class is
# ('thing',), with its comma.
metainfo = dict(classes=('thing', 'stuff'), palette=[(220, 60, 60), (60, 140, 220)])
num_classes = 2  # CHANGE: as many; there is no background class

# CHANGE to what fits: images are brought to these long and short sides at most, in training to a random size between
# the two. Halve the batch where memory runs out, before the sizes: small objects need the pixels.
largest, smallest = (1333, 800), (1333, 640)
batch_size = 2
max_iters = 10000  # CHANGE: about 25 times the number of your training images / batch_size, and 2000 at least
# The rate follows the batch: 0.001 an image, less than what it is on 8 GPUs. Halve it where the loss is nan.
base_lr = 0.001 * batch_size

model = dict(
    # for objects of fewer than 16 pixels: rpn_head=dict(anchor_generator=dict(scales=[4])),
    roi_head=dict(bbox_head=dict(num_classes=num_classes)),
)

backend = 'pillow'  # decodes and resizes as in the training of the published numbers
train_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend=backend),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=[smallest, largest], keep_ratio=True, backend=backend),
    dict(type='RandomFlip', prob=0.5),  # remove it where left and right are different classes
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend=backend),
    dict(type='Resize', scale=largest, keep_ratio=True, backend=backend),
    dict(type='LoadAnnotations', with_bbox=True),  # after the resize: the metric is computed at the original size
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=batch_size,
    dataset=dict(
        type='CocoDataset',  # keeps boxes without an outline
        data_root=data_root,
        metainfo=metainfo,
        ann_file=train_file,
        data_prefix=dict(img=train_images),
        filter_cfg=dict(filter_empty_gt=True),  # False trains on images without objects as well
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file=val_file,
        data_prefix=dict(img=val_images),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + val_file)
test_evaluator = val_evaluator

optim_wrapper = dict(
    optimizer=dict(lr=base_lr),
    clip_grad=dict(max_norm=35.0),  # bounds the step that one bad batch of two images can take
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=max_iters,
        milestones=[max_iters * 2 // 3, max_iters * 8 // 9],
        gamma=0.1,
    ),
]
auto_scale_lr = dict(base_batch_size=batch_size)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 10)
default_hooks = dict(
    checkpoint=dict(interval=max_iters // 10),
    visualization=dict(interval=1),  # with --show-dir, every image instead of one in fifty
)
