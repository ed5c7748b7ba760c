"""Cascade R-CNN with a ResNeSt-200 on COCO: 90,000 iterations of 16 images, short sides from 640 to 800 pixels.

The authors' recipe for `faster_cascade_rcnn_ResNeSt_200_FPN_syncbn_range-scale_1x` of zhanghang1989/ResNeSt@1dfb3e8.
docs/model_zoo.md has the published numbers, the released file and the deviations. Where memory is short,
`model.backbone.with_cp=True` takes time instead and changes no result.
"""

_base_ = './cascade-rcnn_s50_fpn_1x_coco.py'

model = dict(backbone=dict(variant='resnest200', init_cfg=dict(checkpoint='open-mmlab://resnest200')))
