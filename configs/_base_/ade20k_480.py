"""ADE20K with 150 classes: 20,210 images to train and 2,000 to validate."""

_base_ = './segmentation_480.py'

data_root = 'data/ade/ADEChallengeData2016'
train = dict(img_path='images/training', seg_map_path='annotations/training')
val = dict(img_path='images/validation', seg_map_path='annotations/validation')

dataset = dict(type='ADE20KDataset', data_root=data_root)
train_dataloader = dict(dataset=dict(data_prefix=train, **dataset))
val_dataloader = dict(dataset=dict(data_prefix=val, **dataset))
test_dataloader = val_dataloader
