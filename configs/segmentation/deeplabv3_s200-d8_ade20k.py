"""DeepLabV3 with a dilated ResNeSt-200 on ADE20K: 180 epochs, 227,340 iterations of 16 images.

The authors' recipe for `DeepLab_ResNeSt200_ADE` of zhanghang1989/PyTorch-Encoding@ac74841. docs/model_zoo.md has the
published numbers, the released file and the deviations.
Their command, in docs/source/model_zoo/segmentation.rst:

    train.py --dataset ADE20K --model deeplab --aux --backbone resnest200 --epochs 180
"""

_base_ = './deeplabv3_s50-d8_ade20k.py'

model = dict(backbone=dict(variant='resnest200', init_cfg=dict(checkpoint='resnest200')))
