"""Optimiser and 1x schedule of the authors' detectors: 90,000 iterations of 16 images, and a validation at the end.

Norms do not decay, gradients are not clipped, and the last thing before the checkpoint is precise batch norm.

Source: detectron2-ResNeSt@54ec876, configs/COCO-Detection and detectron2/config/defaults.py.
"""

_base_ = './detection_runtime.py'

max_iters = 90000
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0),
)
param_scheduler = [
    # mmengine reaches the full rate at end - 1, so 1001 makes a warm-up of 1000 iterations
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1001),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=max_iters, milestones=[60000, 80000], gamma=0.1),
]
auto_scale_lr = dict(enable=False, base_batch_size=16)  # 8 GPUs with 2 images each
custom_hooks = [dict(type='resnest_mm.PreciseBNHook', num_iters=200)]
default_hooks = dict(checkpoint=dict(interval=5000))
