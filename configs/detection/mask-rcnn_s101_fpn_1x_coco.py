"""Mask R-CNN with a ResNeSt-101 on COCO: 90,000 iterations of 16 images, short sides of 640, 672, ... or 800 pixels.

The paper's authors report 45.75 box AP and 40.65 mask AP on val2017 (`mask_rcnn_ResNeSt_101_FPN_syncBN_1x` of
zhanghang1989/ResNeSt@1dfb3e8). Whether open-mmlab's ImageNet weights have the values of the authors' own file has not
been checked.
"""

_base_ = './mask-rcnn_s50_fpn_1x_coco.py'

model = dict(backbone=dict(variant='resnest101', init_cfg=dict(checkpoint='open-mmlab://resnest101')))
