"""Faster R-CNN with a deformable ResNeSt-50 on COCO: 90,000 iterations of 16 images, short sides 640 to 800 pixels.

The authors' recipe for `faster_rcnn_ResNeSt_50_FPN_dcn_syncbn_range-scale_1x` of zhanghang1989/ResNeSt@1dfb3e8.
docs/model_zoo.md has the published numbers, the released file and the deviations. Every 3x3 convolution from the second
stage on is deformable, one group for each split, and its offsets come from a convolution of as many groups and start at
zero.
"""

_base_ = './faster-rcnn_s50_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        dcn=dict(type='DCNv2', deform_groups=2, fallback_on_stride=False),
        stage_with_dcn=(False, True, True, True),
    ),
)
