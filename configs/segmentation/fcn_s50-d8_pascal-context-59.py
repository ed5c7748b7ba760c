"""FCN with a dilated ResNeSt-50 on Pascal Context, 59 classes: 80 epochs, 24,960 iterations of 16 images.

The authors' recipe for `FCN_ResNeSt50_PContext` of zhanghang1989/PyTorch-Encoding@ac74841. docs/model_zoo.md has the
published numbers, the released file and the deviations.
Their command, in docs/source/model_zoo/segmentation.rst:

    train.py --dataset pcontext --model fcn --aux --backbone resnest50
"""

_base_ = [
    '../_base_/fcn_s50-d8.py',
    '../_base_/pascal-context-59_480.py',
    '../_base_/poly_pascal-context-59_80e.py',
]

model = dict(decode_head=dict(num_classes=59), auxiliary_head=dict(num_classes=59))
