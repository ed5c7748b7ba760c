"""PSPNet as mmseg has it."""

_base_ = './mmseg_encoder-decoder_s101-d8.py'

model = dict(decode_head=dict(type='PSPHead', pool_scales=(1, 2, 3, 6)))
