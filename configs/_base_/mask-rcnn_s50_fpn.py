"""The authors' Mask R-CNN with a ResNeSt-50: their Faster R-CNN and a mask branch."""

_base_ = ['./faster-rcnn_s50_fpn.py', './fcn_mask_branch.py']

model = dict(
    type='MaskRCNN',
    data_preprocessor=dict(pad_mask=True),
    roi_head=dict(mask_roi_extractor=_base_.mask_roi_extractor, mask_head=_base_.mask_head),
    train_cfg=dict(rcnn=dict(mask_size=_base_.mask_size)),
    test_cfg=dict(rcnn=dict(mask_thr_binary=0.5)),
)
