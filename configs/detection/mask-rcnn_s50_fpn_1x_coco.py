"""Mask R-CNN with a ResNeSt-50 on COCO: 90,000 iterations of 16 images, short sides of 640, 672, ... or 800 pixels.

The authors' recipe for `mask_rcnn_ResNeSt_50_FPN_syncBN_1x` of zhanghang1989/ResNeSt@1dfb3e8. docs/model_zoo.md has the
published numbers, the released file and the deviations.
"""

_base_ = ['../_base_/mask-rcnn_s50_fpn.py', '../_base_/coco_masks.py', '../_base_/detection_1x.py']
