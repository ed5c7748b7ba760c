"""Faster R-CNN with a ResNeSt-101 on COCO: 90,000 iterations of 16 images, short sides from 640 to 800 pixels.

The paper's authors report 44.72 box AP on val2017 (`faster_rcnn_ResNeSt_101_FPN_syncbn_range-scale_1x` of
zhanghang1989/ResNeSt@1dfb3e8). Whether open-mmlab's ImageNet weights have the values of the authors' own file has not
been checked.
"""

_base_ = './faster-rcnn_s50_fpn_1x_coco.py'

model = dict(backbone=dict(variant='resnest101', init_cfg=dict(checkpoint='open-mmlab://resnest101')))
