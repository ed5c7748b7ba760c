r"""PSPNet with the official ResNeSt-101 on Cityscapes, mmseg's recipe: 80,000 iterations of 8 crops of 512x1024.

mmseg's own network lacks the average pools of dilated stages. What it published, result and checkpoint, belongs to
`mmseg-compatible/pspnet_s101-d8_80k_cityscapes-512x1024.py`; this network has not been trained yet.

    torchrun --nproc_per_node 4 tools/train.py --launcher pytorch \
        configs/segmentation/pspnet_s101-d8_80k_cityscapes-512x1024.py
"""

_base_ = [
    '../_base_/mmseg_pspnet_s101-d8.py',
    '../_base_/mmseg_cityscapes_512x1024.py',
    '../_base_/mmseg_80k.py',
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=19),
    auxiliary_head=dict(num_classes=19),
)
