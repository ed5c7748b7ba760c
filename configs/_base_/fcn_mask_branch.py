"""The authors' mask branch: four convolutions with synchronised batch norm, once, also beside a cascade of box heads.

Source: detectron2-ResNeSt@54ec876, configs/COCO-InstanceSegmentation.
"""

mask_roi_extractor = dict(
    type='SingleRoIExtractor',
    roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
    out_channels=256,
    featmap_strides=[4, 8, 16, 32],
)
mask_head = dict(
    type='resnest_mm.Detectron2FCNMaskHead',
    num_convs=4,
    in_channels=256,
    conv_out_channels=256,
    num_classes=80,
    norm_cfg=dict(type='resnest_mm.NaiveSyncBN', requires_grad=True),
    loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0),
)
mask_size = 28  # pixels, twice the extractor's
