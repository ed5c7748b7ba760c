"""FCN with a dilated ResNeSt-50 on ADE20K: 180 epochs, 227,340 iterations of 16 images.

The authors' recipe for `FCN_ResNeSt50_ADE` of zhanghang1989/PyTorch-Encoding@ac74841. docs/model_zoo.md has the
published numbers, the released file and the deviations.
Their command, in docs/source/model_zoo/segmentation.rst:

    train.py --dataset ADE20K --model fcn --aux --backbone resnest50

The command gives 180 epochs and a base rate of 0.004. When the model first appeared (69ba678) the command was that of
train_dist.py, with 120 epochs and 0.01; `fcn_s50-d8_120e_ade20k.py` is that reading.
"""

_base_ = [
    '../_base_/fcn_s50-d8.py',
    '../_base_/ade20k_480.py',
    '../_base_/poly_ade20k_180e.py',
]

model = dict(decode_head=dict(num_classes=150), auxiliary_head=dict(num_classes=150))
