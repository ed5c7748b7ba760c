"""180 epochs of ADE20K in batches of 16, the rate falling to 0 by a power of 0.9."""

_base_ = './segmentation_sgd.py'

epoch = 20210 // 16  # iterations; the last 2 images of an epoch are dropped
max_iters = 180 * epoch
optim_wrapper = dict(optimizer=dict(lr=0.004))
param_scheduler = [
    # mmengine is at eta_min in iteration end - 1, and PyTorch-Encoding would be in iteration max_iters
    dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin=0, end=max_iters + 1),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=10 * epoch)
default_hooks = dict(checkpoint=dict(interval=10 * epoch))
