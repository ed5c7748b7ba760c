"""DeepLabV3 with a dilated ResNeSt-269 on Pascal Context, 59 classes: 80 epochs, 24,960 iterations of 16 images.

The authors' recipe for `DeepLab_ResNeSt269_PContext` of zhanghang1989/PyTorch-Encoding@ac74841. docs/model_zoo.md has
the published numbers, the released file and the deviations.
Their command, in docs/source/model_zoo/segmentation.rst:

    train.py --dataset pcontext --model deeplab --aux --backbone resnest269
"""

_base_ = './deeplabv3_s50-d8_pascal-context-59.py'

model = dict(backbone=dict(variant='resnest269', init_cfg=dict(checkpoint='resnest269')))
