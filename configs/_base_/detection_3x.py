"""The authors' 3x schedule: 270,000 iterations, and drops at 240,000 and 255,000, later than detectron2's own."""

_base_ = './detection_1x.py'

max_iters = 270000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=max_iters, milestones=[240000, 255000], gamma=0.1),
]
