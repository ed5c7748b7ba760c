"""mmseg's schedule of 160,000 iterations."""

_base_ = './mmseg_80k.py'

max_iters = 160000
interval = max_iters // 10  # iterations between two validations
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=1e-4, by_epoch=False, begin=0, end=max_iters)]
train_cfg = dict(max_iters=max_iters, val_interval=interval)
default_hooks = dict(checkpoint=dict(interval=interval))
