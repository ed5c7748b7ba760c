"""DeepLabV3 with a dilated ResNeSt-50 on ADE20K: 180 epochs, 227,340 iterations of 16 images.

The paper's authors report 81.17 pixAcc and 45.12 mIoU, in per cent of the validation set at six scales and flipped
(`DeepLab_ResNeSt50_ADE` of zhanghang1989/PyTorch-Encoding@ac74841).
Their command, in docs/source/model_zoo/segmentation.rst:

    train.py --dataset ADE20K --model deeplab --aux --backbone resnest50
"""

_base_ = [
    '../_base_/deeplabv3_s50-d8.py',
    '../_base_/ade20k_480.py',
    '../_base_/poly_ade20k_180e.py',
]

model = dict(decode_head=dict(num_classes=150), auxiliary_head=dict(num_classes=150))
