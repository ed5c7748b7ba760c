"""Cascade R-CNN with a ResNeSt-101 on COCO as mmdet trains it, for the checkpoint that mmdet released.

    python tools/test.py detection/mmdet-compatible/cascade-rcnn_s101_fpn_1x_coco CHECKPOINT

docs/model_zoo.md has the numbers that mmdet published for it. CHECKPOINT is mmdet's file
`cascade_rcnn_s101_fpn_syncbn-backbone+head_mstrain-range_1x_coco_20201005_113242-b9459f8f.pth`,
the record `mmdet/cascade-rcnn_s101_fpn_syncbn-backbone+head_ms-range-1x_coco` of resnest_mm.weights.

Everything but the class of the backbone is mmdet's. The config of the same name one folder up is the recipe of the
paper's authors, whose neck has batch norms as well: a checkpoint of one of the two does not fit the other.
"""

_base_ = 'mmdet::resnest/cascade-rcnn_s101_fpn_syncbn-backbone+head_ms-range-1x_coco.py'

model = dict(backbone=dict(type='resnest_mm.ResNeSt'))
work_dir = 'work_dirs/mmdet-compatible/cascade-rcnn_s101_fpn_1x_coco'
