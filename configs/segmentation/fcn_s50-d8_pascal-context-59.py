"""FCN with a dilated ResNeSt-50 on Pascal Context, 59 classes: 80 epochs, 24,960 iterations of 16 images.

The paper's authors report 79.19 pixAcc and 51.98 mIoU, in per cent of the validation set at six scales and flipped
(`FCN_ResNeSt50_PContext` of zhanghang1989/PyTorch-Encoding@ac74841).
Their command, in docs/source/model_zoo/segmentation.rst:

    train.py --dataset pcontext --model fcn --aux --backbone resnest50
"""

_base_ = [
    '../_base_/fcn_s50-d8.py',
    '../_base_/pascal-context-59_480.py',
    '../_base_/poly_pascal-context-59_80e.py',
]

model = dict(decode_head=dict(num_classes=59), auxiliary_head=dict(num_classes=59))
