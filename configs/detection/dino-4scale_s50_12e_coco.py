"""DINO with a ResNeSt-50 on COCO: mmdet's recipe for a ResNet-50, 12 epochs of 16 images, with the other backbone.

Nobody has published a number for it, and it has not been trained here: whether mmdet's learning rates (1e-4, a tenth of
it in the backbone) and the running statistics of ImageNet, which stay fixed as in that recipe, are the best for a
ResNeSt is not known. Because they stay fixed, no norm is synchronised, and two images on a GPU are enough.

    torchrun --nproc_per_node 8 tools/train.py detection/dino-4scale_s50_12e_coco --launcher pytorch
"""

_base_ = 'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py'

model = dict(
    data_preprocessor=dict(mean=[123.68, 116.779, 103.939], std=[58.393, 57.12, 57.375]),  # those of the weights
    backbone=dict(
        _delete_=True,
        type='resnest_mm.ResNeSt',
        variant='resnest50',
        out_indices=(1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnest50'),
    ),
)
auto_scale_lr = dict(enable=False)  # `tools/train.py --auto-scale-lr` switches it on
