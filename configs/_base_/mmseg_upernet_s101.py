"""UPerNet as mmseg has it: all four maps of a backbone without dilation."""

_base_ = './mmseg_encoder-decoder_s101-d8.py'

model = dict(
    backbone=dict(strides=(1, 2, 2, 2), dilations=(1, 1, 1, 1)),
    decode_head=dict(
        type='UPerHead', in_channels=[256, 512, 1024, 2048], in_index=[0, 1, 2, 3], pool_scales=(1, 2, 3, 6)
    ),
)
