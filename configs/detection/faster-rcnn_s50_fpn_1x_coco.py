"""Faster R-CNN with a ResNeSt-50 on COCO: 90,000 iterations of 16 images, short sides from 640 to 800 pixels.

The authors' recipe for `faster_rcnn_ResNeSt_50_FPN_syncbn_range-scale_1x` of zhanghang1989/ResNeSt@1dfb3e8.
docs/model_zoo.md has the published numbers, the released file and the deviations.

    torchrun --nproc_per_node 8 tools/train.py configs/detection/faster-rcnn_s50_fpn_1x_coco.py --launcher pytorch

`faster-rcnn_s50_fpn_1x_single-gpu_coco.py` is for one GPU.
"""

_base_ = ['../_base_/faster-rcnn_s50_fpn.py', '../_base_/coco_boxes.py', '../_base_/detection_1x.py']
