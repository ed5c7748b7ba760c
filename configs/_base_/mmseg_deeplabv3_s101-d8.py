"""DeepLabV3 as mmseg has it, 512 channels wide; the ResNeSt authors' own head is `resnest_mm.DeepLabV3Head`."""

_base_ = './mmseg_encoder-decoder_s101-d8.py'

model = dict(decode_head=dict(type='ASPPHead', dilations=(1, 12, 24, 36)))
