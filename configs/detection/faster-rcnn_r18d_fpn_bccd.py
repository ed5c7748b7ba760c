"""The BCCD recipe with mmdet's ResNet-18-D in place of the ResNeSt-14: a comparison at about equal cost."""

_base_ = './faster-rcnn_s14_fpn_bccd.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNetV1d',
        depth=18,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        frozen_stages=-1,
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
