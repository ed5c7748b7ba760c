"""The optimiser of PyTorch-Encoding's segmentors; a config that inherits it adds the learning rate and the schedule."""

_base_ = './segmentation_runtime.py'

head_rate = dict(lr_mult=10.0)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', momentum=0.9, weight_decay=1e-4),  # norms and biases decay too
    paramwise_cfg=dict(custom_keys=dict(decode_head=head_rate, auxiliary_head=head_rate)),
)
auto_scale_lr = dict(enable=False, base_batch_size=16)
