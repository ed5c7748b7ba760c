"""DeepLabV3 with a narrow dilated ResNeSt-14 for small images and few minutes, from scratch.

Half the width in every stage, output stride 8, a narrow head without the dropout after its projection, and AdamW in
the place of SGD. A config that inherits it adds data, classes, dilation rates that fit its images and a schedule.
"""

_base_ = './segmentation_runtime.py'

norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type='resnest_mm.ResNeSt',
        depth=14,
        stem_channels=32,
        base_channels=32,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        type='resnest_mm.DeepLabV3Head',
        in_channels=1024,
        in_index=3,
        channels=64,
        project_dropout_ratio=0.0,
        norm_cfg=norm_cfg,
        loss_decode=dict(type='resnest_mm.LabelledCrossEntropyLoss', loss_weight=1.0),
    ),
    auxiliary_head=dict(
        type='resnest_mm.FCNHead',
        in_channels=512,
        in_index=2,
        channels=64,
        norm_cfg=norm_cfg,
        loss_decode=dict(type='resnest_mm.LabelledCrossEntropyLoss', loss_weight=0.2),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=4e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=10.0),
)
randomness = dict(seed=0)
