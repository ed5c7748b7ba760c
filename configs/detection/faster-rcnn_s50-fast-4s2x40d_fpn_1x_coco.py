"""Faster R-CNN with a ResNeSt-50-fast of four splits and two cardinal groups on COCO: the recipe of the ResNeSt-50.

Nobody has published a number for it: the authors' detectors have no fast network. It starts from their PyTorch weights,
whose mean and std are other ones.
"""

_base_ = './faster-rcnn_s50_fpn_1x_coco.py'

model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(variant='resnest50_fast_4s2x40d', init_cfg=dict(checkpoint='resnest50_fast_4s2x40d')),
)
