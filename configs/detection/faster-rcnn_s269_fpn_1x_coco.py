"""Faster R-CNN with a ResNeSt-269 on COCO: the recipe of the ResNeSt-50 with the deepest network.

Nobody has published a number for it: the authors released ImageNet weights for a detector of this depth, and neither a
config nor a result. It starts from their PyTorch weights, whose mean and std are other ones. Where memory is short,
`model.backbone.with_cp=True` takes time instead and changes no result.
"""

_base_ = './faster-rcnn_s50_fpn_1x_coco.py'

model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(variant='resnest269', init_cfg=dict(checkpoint='resnest269')),
)
