"""Mask R-CNN with a ResNeSt-101 on COCO: 90,000 iterations of 16 images, short sides of 640, 672, ... or 800 pixels.

The authors' recipe for `mask_rcnn_ResNeSt_101_FPN_syncBN_1x` of zhanghang1989/ResNeSt@1dfb3e8. docs/model_zoo.md has
the published numbers, the released file and the deviations.
"""

_base_ = './mask-rcnn_s50_fpn_1x_coco.py'

model = dict(backbone=dict(variant='resnest101', init_cfg=dict(checkpoint='open-mmlab://resnest101')))
