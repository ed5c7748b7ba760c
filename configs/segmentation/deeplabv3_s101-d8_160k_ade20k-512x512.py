r"""DeepLabV3 with the official ResNeSt-101 on ADE20K, mmseg's recipe: 160,000 iterations of 16 crops of 512x512.

mmseg's own network lacks the average pools of dilated stages. What it published, result and checkpoint, belongs to
`mmseg-compatible/deeplabv3_s101-d8_160k_ade20k-512x512.py`; this network has not been trained yet.

    torchrun --nproc_per_node 4 tools/train.py --launcher pytorch \
        configs/segmentation/deeplabv3_s101-d8_160k_ade20k-512x512.py
"""

_base_ = [
    '../_base_/mmseg_deeplabv3_s101-d8.py',
    '../_base_/mmseg_ade20k_512x512.py',
    '../_base_/mmseg_160k.py',
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=150),
    auxiliary_head=dict(num_classes=150),
)
