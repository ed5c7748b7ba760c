"""DeepLabV3 with a dilated ResNeSt-269 on ADE20K, the other reading: 120 epochs at a base rate of 0.01.

The authors' recipe for `DeepLab_ResNeSt269_ADE` of zhanghang1989/PyTorch-Encoding. docs/model_zoo.md has the published
numbers, the released file and the deviations. The model first appeared in 69ba678 beside a command of train_dist.py,
whose defaults were these; the command of a day later (3e384b4) means 180 epochs and 0.004, see
`deeplabv3_s269-d8_ade20k.py`. Nothing published says which of the two trained it.
"""

_base_ = './deeplabv3_s269-d8_ade20k.py'

max_iters = 120 * _base_.epoch
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin=0, end=max_iters + 1)]
train_cfg = dict(max_iters=max_iters)
