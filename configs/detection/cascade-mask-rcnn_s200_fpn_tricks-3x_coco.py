"""Cascade Mask R-CNN with a ResNeSt-200 and all tricks on COCO: 270,000 iterations of 16 images.

The tricks: a mask head of eight convolutions, crops around an object, short sides from 640 to 864 pixels and long ones
up to 1440, and three times the iterations. A test has short sides of 800 pixels, as without tricks.

The authors' recipe for `mask_cascade_rcnn_ResNeSt_200_FPN_syncBN_all_tricks_3x` of zhanghang1989/ResNeSt@1dfb3e8.
docs/model_zoo.md has the published numbers, the released file and the deviations. They do not say over how many GPUs
the 16 images were spread, which batch norm depends on; 8 is assumed, as for their other models.
"""

_base_ = ['../_base_/cascade-mask-rcnn_s50_fpn.py', '../_base_/coco_masks_crop.py', '../_base_/detection_3x.py']

model = dict(
    backbone=dict(variant='resnest200', init_cfg=dict(checkpoint='open-mmlab://resnest200')),
    roi_head=dict(mask_head=dict(num_convs=8)),
)
