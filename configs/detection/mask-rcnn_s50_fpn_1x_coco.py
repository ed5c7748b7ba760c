"""Mask R-CNN with a ResNeSt-50 on COCO: 90,000 iterations of 16 images, short sides of 640, 672, ... or 800 pixels.

The paper's authors report 42.81 box AP and 38.14 mask AP on val2017 (`mask_rcnn_ResNeSt_50_FPN_syncBN_1x` of
zhanghang1989/ResNeSt@1dfb3e8). Whether open-mmlab's ImageNet weights have the values of the authors' own file has not
been checked.
"""

_base_ = ['../_base_/mask-rcnn_s50_fpn.py', '../_base_/coco_masks.py', '../_base_/detection_1x.py']
