"""UPerNet with a ResNeSt-50 on ADE20K, the recipe of the ResNeSt-101. Not trained yet."""

_base_ = './upernet_s101_160k_ade20k-512x512.py'

model = dict(backbone=dict(variant='resnest50', init_cfg=dict(checkpoint='open-mmlab://resnest50')))
