"""FCN as mmseg has it: two convolutions, and the backbone's map joined to their output."""

_base_ = './mmseg_encoder-decoder_s101-d8.py'

model = dict(decode_head=dict(type='FCNHead', num_convs=2, concat_input=True))
