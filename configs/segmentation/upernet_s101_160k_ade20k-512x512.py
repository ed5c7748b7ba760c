"""UPerNet with a ResNeSt-101 on ADE20K, mmseg's recipe for UPerNet: 160,000 iterations of 16 crops of 512x512.

Not trained yet, here or by mmseg.

    torchrun --nproc_per_node 4 tools/train.py segmentation/upernet_s101_160k_ade20k-512x512 --launcher pytorch
"""

_base_ = ['../_base_/mmseg_upernet_s101.py', '../_base_/mmseg_ade20k_512x512.py', '../_base_/mmseg_160k.py']

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=150),
    auxiliary_head=dict(num_classes=150),
)
