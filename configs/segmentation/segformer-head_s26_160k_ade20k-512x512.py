"""A ResNeSt-26 and SegFormer's head on ADE20K for one small GPU: 160,000 iterations of 8 crops of 512x512.

The head (arXiv:2105.15203) reads all four maps through 1x1 convolutions. Data and schedule are mmseg's at half the
batch and so half the learning rate, with plain batch norm, a warm-up and clipped gradients. Not trained yet.

    python tools/train.py segmentation/segformer-head_s26_160k_ade20k-512x512
"""

_base_ = ['../_base_/mmseg_encoder-decoder_s101-d8.py', '../_base_/mmseg_ade20k_512x512.py', '../_base_/mmseg_160k.py']

norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(
        variant='resnest26',
        strides=(1, 2, 2, 2),
        dilations=(1, 1, 1, 1),
        norm_cfg=norm_cfg,
        init_cfg=dict(checkpoint='timm/resnest26d.gluon_in1k'),
    ),
    decode_head=dict(
        type='SegformerHead',
        in_channels=[256, 512, 1024, 2048],
        in_index=[0, 1, 2, 3],
        channels=256,
        num_classes=150,
        norm_cfg=norm_cfg,
    ),
    auxiliary_head=None,
)

train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(base_batch_size=8)
optim_wrapper = dict(optimizer=dict(lr=0.005), clip_grad=dict(max_norm=10.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', power=0.9, eta_min=1e-4, by_epoch=False, begin=1500, end=_base_.max_iters),
]
