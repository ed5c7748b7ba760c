"""DeepLabV3+ on ADE20K with the backbone as mmseg builds it, for the checkpoint that mmseg released.

    python tools/test.py segmentation/mmseg-compatible/deeplabv3plus_s101-d8_160k_ade20k-512x512 CHECKPOINT

docs/model_zoo.md has the numbers that mmseg published for it, `ms+flip` with `--tta`. CHECKPOINT is mmseg's file
`deeplabv3plus_s101-d8_512x512_160k_ade20k_20200807_144503-27b26226.pth`,
the record `mmseg/resnest_s101-d8_deeplabv3plus_4xb4-160k_ade20k-512x512` of resnest_mm.weights.

Without the average pools of dilated stages this is not the official network. To train that, take the config of the same
name one folder up; a checkpoint of one of the two loads into the other without a complaint and is wrong there.
"""

_base_ = '../deeplabv3plus_s101-d8_160k_ade20k-512x512.py'

model = dict(backbone=dict(avd_in_dilated=False))
work_dir = 'work_dirs/mmseg-compatible/deeplabv3plus_s101-d8_160k_ade20k-512x512'
