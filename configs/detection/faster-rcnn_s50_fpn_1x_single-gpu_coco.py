"""Faster R-CNN with a ResNeSt-50 on COCO, on one GPU with two images: as many images as the 1x recipe sees.

Nobody has published a number for it. Two images are too few for the backbone's batch norm, in its split attention above
all, where every image is one value. Its statistics stay those of ImageNet, and only neck and heads compute their own.
With four images set `train_dataloader.batch_size=4` and `optim_wrapper.optimizer.lr=0.004`.

    python tools/train.py configs/detection/faster-rcnn_s50_fpn_1x_single-gpu_coco.py
"""

_base_ = './faster-rcnn_s50_fpn_1x_coco.py'

norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    backbone=dict(norm_cfg=norm_cfg, norm_eval=True),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(bbox_head=dict(norm_cfg=norm_cfg)),
)

longer = 16 // 2  # iterations for one of 16 images
max_iters = 90000 * longer
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 12)
optim_wrapper = dict(
    optimizer=dict(lr=0.002),  # the linear rule gives 0.0025
    clip_grad=dict(max_norm=35.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000 * longer + 1),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=max_iters,
        milestones=[60000 * longer, 80000 * longer],
        gamma=0.1,
    ),
]
auto_scale_lr = dict(base_batch_size=2)
