"""DeepLabV3+ as mmseg has it."""

_base_ = './mmseg_encoder-decoder_s101-d8.py'

model = dict(
    decode_head=dict(type='DepthwiseSeparableASPPHead', dilations=(1, 12, 24, 36), c1_in_channels=256, c1_channels=48)
)
