"""Cascade Mask R-CNN with a ResNeSt-101 on COCO: 90,000 iterations of 16 images, short sides of 640, 672, ... or 800.

The paper's authors report 48.30 box AP and 41.56 mask AP on val2017 (`mask_cascade_rcnn_ResNeSt_101_FPN_syncBN_1x` of
zhanghang1989/ResNeSt@1dfb3e8). Whether open-mmlab's ImageNet weights have the values of the authors' own file has not
been checked.
"""

_base_ = './cascade-mask-rcnn_s50_fpn_1x_coco.py'

model = dict(backbone=dict(variant='resnest101', init_cfg=dict(checkpoint='open-mmlab://resnest101')))
