"""The CamVid recipe with mmseg's ResNet-50-D at 25 channels in place of the ResNeSt-26: a comparison at equal cost."""

_base_ = './deeplabv3_s26-d8_camvid.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNetV1d',
        depth=50,
        stem_channels=32,
        base_channels=25,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        contract_dilation=True,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
    ),
    decode_head=dict(in_channels=800),
    auxiliary_head=dict(in_channels=400),
)
