"""DeepLabV3 with a dilated ResNeSt-269 on ADE20K: 180 epochs, 227,340 iterations of 16 images.

The authors' recipe for `DeepLab_ResNeSt269_ADE` of zhanghang1989/PyTorch-Encoding@ac74841. docs/model_zoo.md has the
published numbers, the released file and the deviations.
Their command, in docs/source/model_zoo/segmentation.rst:

    train.py --dataset ADE20K --model deeplab --aux --backbone resnest269

The command gives 180 epochs and a base rate of 0.004. When the model first appeared (69ba678) the command was that of
train_dist.py, with 120 epochs and 0.01; `deeplabv3_s269-d8_120e_ade20k.py` is that reading.
"""

_base_ = './deeplabv3_s50-d8_ade20k.py'

model = dict(backbone=dict(variant='resnest269', init_cfg=dict(checkpoint='resnest269')))
