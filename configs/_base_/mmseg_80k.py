"""mmseg's schedule of 80,000 iterations: SGD, polynomial decay from 0.01 to 0.0001."""

_base_ = './segmentation_runtime.py'

max_iters = 80000
interval = max_iters // 10  # iterations between two validations
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=1e-4, by_epoch=False, begin=0, end=max_iters)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=interval)
default_hooks = dict(checkpoint=dict(interval=interval))
