"""What both segmentors of PyTorch-Encoding share: a ResNeSt-50 dilated to output stride 8, and an auxiliary FCN head.

The released ImageNet weights stand here as `resnest50`. PyTorch-Encoding starts from a copy of its own,
`encoding/resnest50` by its record, which the one host that had it has refused since May 2021.

Source: zhanghang1989/PyTorch-Encoding@ac74841, encoding/models/sseg and experiments/segmentation.
"""

norm_cfg = dict(type='resnest_mm.NaiveSyncBN', requires_grad=True)
loss = dict(type='CrossEntropyLoss', avg_non_ignore=True)  # mean over the labelled pixels
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],  # RGB, of 255
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(480, 480),  # pixels; every training image has it already
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type='resnest_mm.ResNeSt',
        variant='resnest50',
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        norm_cfg=norm_cfg,
        norm_eval=False,
        init_cfg=dict(type='Pretrained', checkpoint='resnest50'),
    ),
    auxiliary_head=dict(
        type='resnest_mm.FCNHead',
        in_channels=1024,
        in_index=2,
        channels=256,
        dropout_ratio=0.1,
        align_corners=True,
        norm_cfg=norm_cfg,
        loss_decode=dict(loss_weight=0.2, **loss),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
