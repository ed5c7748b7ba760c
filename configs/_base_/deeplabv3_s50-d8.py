"""DeepLabV3 with a dilated ResNeSt-50, as in PyTorch-Encoding: five branches of 256 channels, projected to 256."""

_base_ = './dilated_s50-d8.py'

model = dict(
    decode_head=dict(
        type='resnest_mm.DeepLabV3Head',
        in_channels=2048,
        in_index=3,
        channels=256,
        rates=(12, 24, 36),
        dropout_ratio=0.1,
        align_corners=True,
        norm_cfg=_base_.norm_cfg,
        loss_decode=dict(loss_weight=1.0, **_base_.loss),
    ),
)
