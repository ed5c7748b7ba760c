"""Pascal Context with 59 classes, its background ignored: 4,998 images to train and 5,105 to validate."""

_base_ = './segmentation_480.py'

data_root = 'data/VOCdevkit/VOC2010'
dataset = dict(
    type='PascalContextDataset59',
    data_root=data_root,
    data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassContext'),
)
train_dataloader = dict(dataset=dict(ann_file='ImageSets/SegmentationContext/train.txt', **dataset))
val_dataloader = dict(dataset=dict(ann_file='ImageSets/SegmentationContext/val.txt', **dataset))
test_dataloader = val_dataloader
