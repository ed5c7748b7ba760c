"""FCN with a dilated ResNeSt-50, as in PyTorch-Encoding: one 3x3 convolution to 512 channels, one classifier."""

_base_ = './dilated_s50-d8.py'

model = dict(
    decode_head=dict(
        type='resnest_mm.FCNHead',
        in_channels=2048,
        in_index=3,
        channels=512,
        dropout_ratio=0.1,
        align_corners=True,
        norm_cfg=_base_.norm_cfg,
        loss_decode=dict(loss_weight=1.0, **_base_.loss),
    ),
)
