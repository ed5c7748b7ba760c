"""Faster R-CNN with a ResNeSt-101 on COCO: 90,000 iterations of 16 images, short sides from 640 to 800 pixels.

The authors' recipe for `faster_rcnn_ResNeSt_101_FPN_syncbn_range-scale_1x` of zhanghang1989/ResNeSt@1dfb3e8.
docs/model_zoo.md has the published numbers, the released file and the deviations.
"""

_base_ = './faster-rcnn_s50_fpn_1x_coco.py'

model = dict(backbone=dict(variant='resnest101', init_cfg=dict(checkpoint='open-mmlab://resnest101')))
