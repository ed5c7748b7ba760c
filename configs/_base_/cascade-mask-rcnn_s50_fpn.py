"""The authors' Cascade Mask R-CNN with a ResNeSt-50: their Cascade R-CNN and one mask head, trained on stage 1."""

_base_ = ['./cascade-rcnn_s50_fpn.py', './fcn_mask_branch.py']

model = dict(
    data_preprocessor=dict(pad_mask=True),
    roi_head=dict(mask_roi_extractor=_base_.mask_roi_extractor, mask_head=_base_.mask_head),
    train_cfg=dict(
        rcnn=[
            dict(_base_.model.train_cfg.rcnn[0], mask_size=_base_.mask_size),
            *_base_.model.train_cfg.rcnn[1:],
        ],
    ),
    test_cfg=dict(rcnn=dict(mask_thr_binary=0.5)),
)
