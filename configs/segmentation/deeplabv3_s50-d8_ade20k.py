"""DeepLabV3 with a dilated ResNeSt-50 on ADE20K: 180 epochs, 227,340 iterations of 16 images.

The authors' recipe for `DeepLab_ResNeSt50_ADE` of zhanghang1989/PyTorch-Encoding@ac74841. docs/model_zoo.md has the
published numbers, the released file and the deviations.
Their command, in docs/source/model_zoo/segmentation.rst:

    train.py --dataset ADE20K --model deeplab --aux --backbone resnest50
"""

_base_ = [
    '../_base_/deeplabv3_s50-d8.py',
    '../_base_/ade20k_480.py',
    '../_base_/poly_ade20k_180e.py',
]

model = dict(decode_head=dict(num_classes=150), auxiliary_head=dict(num_classes=150))
