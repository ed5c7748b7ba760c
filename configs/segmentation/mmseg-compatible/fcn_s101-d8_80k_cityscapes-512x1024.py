"""FCN on Cityscapes with the backbone as mmseg builds it, for the checkpoint that mmseg released.

    python tools/test.py segmentation/mmseg-compatible/fcn_s101-d8_80k_cityscapes-512x1024 CHECKPOINT

docs/model_zoo.md has the numbers that mmseg published for it, `ms+flip` with `--tta`. CHECKPOINT is mmseg's file
`fcn_s101-d8_512x1024_80k_cityscapes_20200807_140631-f8d155b3.pth`,
the record `mmseg/resnest_s101-d8_fcn_4xb2-80k_cityscapes-512x1024` of resnest_mm.weights.

Without the average pools of dilated stages this is not the official network. To train that, take the config of the same
name one folder up; a checkpoint of one of the two loads into the other without a complaint and is wrong there.
"""

_base_ = '../fcn_s101-d8_80k_cityscapes-512x1024.py'

model = dict(backbone=dict(avd_in_dilated=False))
work_dir = 'work_dirs/mmseg-compatible/fcn_s101-d8_80k_cityscapes-512x1024'
