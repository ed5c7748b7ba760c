"""Cascade Mask R-CNN with a deformable ResNeSt-200 and all tricks on COCO: 270,000 iterations of 16 images.

The authors' recipe for `mask_cascade_rcnn_ResNeSt_200_FPN_dcn_syncBN_all_tricks_3x` of zhanghang1989/ResNeSt@1dfb3e8.
docs/model_zoo.md has the published numbers, the released file and the deviations. The scales of the result on test-dev
are not on record: their config has none and leaves the augmentation off. `tools/test.py --tta` takes the defaults of
their code, 18 views: short sides of 400, 500, ... 1200 pixels, long ones up to 4000, each plain and mirrored, all made
of the image with a short side of 800.
"""

_base_ = './cascade-mask-rcnn_s200_fpn_tricks-3x_coco.py'

model = dict(
    backbone=dict(
        dcn=dict(type='DCNv2', deform_groups=2, fallback_on_stride=False),
        stage_with_dcn=(False, True, True, True),
    ),
)
