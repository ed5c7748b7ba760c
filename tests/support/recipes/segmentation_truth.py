"""The ten segmentation recipes of PyTorch-Encoding and their two alternates as plain values.

Every value is typed from zhanghang1989/PyTorch-Encoding@ac74841 (experiments/segmentation, encoding/models/sseg,
encoding/datasets, docs/source/model_zoo/segmentation.rst). None is read from a config or computed by the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Entry:
    """One recipe: its network, data set, schedule, and the row of the model zoo that it stands for."""

    head: str
    depth: int
    data: str
    schedule: str
    model: str
    sha1: str
    pix_acc: float
    miou: float


_ADE, _CONTEXT = 'ade20k', 'pascal-context-59'
ENTRIES: Final[Mapping[str, Entry]] = {
    'fcn_s50-d8_ade20k': Entry('fcn', 50, _ADE, '180e', 'FCN_ResNeSt50_ADE', '4aba491a', 80.18, 42.94),
    'deeplabv3_s50-d8_ade20k': Entry('deeplab', 50, _ADE, '180e', 'DeepLab_ResNeSt50_ADE', '2225f09d', 81.17, 45.12),
    'deeplabv3_s101-d8_ade20k': Entry('deeplab', 101, _ADE, '180e', 'DeepLab_ResNeSt101_ADE', '06ca799c', 82.07, 46.91),
    'deeplabv3_s200-d8_ade20k': Entry('deeplab', 200, _ADE, '180e', 'DeepLab_ResNeSt200_ADE', '7b9e7d3e', 82.45, 48.36),
    'deeplabv3_s269-d8_ade20k': Entry('deeplab', 269, _ADE, '180e', 'DeepLab_ResNeSt269_ADE', '0074dd10', 82.62, 47.60),
    'fcn_s50-d8_pascal-context-59': Entry(
        'fcn', 50, _CONTEXT, '80e', 'FCN_ResNeSt50_PContext', '77a2161d', 79.19, 51.98
    ),
    'deeplabv3_s50-d8_pascal-context-59': Entry(
        'deeplab', 50, _CONTEXT, '80e', 'DeepLab_ResNeSt50_PContext', '08dccbc4', 80.41, 53.19
    ),
    'deeplabv3_s101-d8_pascal-context-59': Entry(
        'deeplab', 101, _CONTEXT, '80e', 'DeepLab_ResNeSt101_PContext', 'faf58418', 81.91, 56.49
    ),
    'deeplabv3_s200-d8_pascal-context-59': Entry(
        'deeplab', 200, _CONTEXT, '80e', 'DeepLab_ResNeSt200_PContext', 'fe76a265', 82.50, 58.37
    ),
    'deeplabv3_s269-d8_pascal-context-59': Entry(
        'deeplab', 269, _CONTEXT, '80e', 'DeepLab_ResNeSt269_PContext', 'b661fd26', 83.06, 58.92
    ),
    # the models that first appeared beside another command (69ba678)
    'fcn_s50-d8_120e_ade20k': Entry('fcn', 50, _ADE, '120e', 'FCN_ResNeSt50_ADE', '4aba491a', 80.18, 42.94),
    'deeplabv3_s269-d8_120e_ade20k': Entry(
        'deeplab', 269, _ADE, '120e', 'DeepLab_ResNeSt269_ADE', '0074dd10', 82.62, 47.60
    ),
}

_SHARED: Final[Mapping[str, Any]] = {
    'segmentor': 'EncoderDecoder',
    'backbone': 'resnest_mm.ResNeSt',
    'backbone, max pool: kernel, stride, padding': (3, 2, 1),
    'backbone, convolutions of several splits: strides': {1},
    'backbone, convolutions of several splits: groups': {2},
    'backbone, convolutions of several splits: output channels by stage': (128, 256, 512, 1024),
    'backbone, convolutions of several splits: dilation in the first block by stage': (1, 1, 1, 2),
    'backbone, convolutions of several splits: dilations in the other blocks by stage': ({1}, {1}, {2}, {4}),
    'backbone, convolutions of several splits: padding is the dilation': True,
    'backbone, 3x3 average pools that run: place, stride, height of an image of 480 after it': (
        ('layer2.0 after conv2', 2, 60),
        ('layer3.0 after conv2', 1, 60),
        ('layer4.0 after conv2', 1, 60),
    ),
    'backbone, average pools in shortcuts: place, kernel, stride': (('layer2.0', 2, 2),),
    'backbone, maps of an image of 480: channels, height': ((256, 120), (512, 60), (1024, 60), (2048, 60)),
    'norms': {'resnest_mm.NaiveSyncBN'},
    'norms: eps, momentum': {(1e-5, 0.1)},
    'norms in evaluation while training': 0,
    'parameters without gradient': 0,
    'auxiliary head': 'resnest_mm.FCNHead',
    'auxiliary head: stage from 0, channels in': (2, 1024),
    'auxiliary head: convolutions (in, out, kernel, dilation)': [(1024, 256, 3, 1)],
    'auxiliary head: dropouts': ['Dropout 0.1'],
    'auxiliary head: align_corners': True,
    'auxiliary head: loss': 'CrossEntropyLoss',
    'auxiliary head: loss weight': 0.2,
    'auxiliary head: loss is the mean over labelled pixels': True,
    'decode head: stage from 0, channels in': (3, 2048),
    'decode head: align_corners': True,
    'decode head: loss': 'CrossEntropyLoss',
    'decode head: loss weight': 1.0,
    'decode head: loss is the mean over labelled pixels': True,
    'losses: probabilities by, weights of classes, ignored label': ('softmax', None, 255),
    'preprocessor: black pixel, red to blue': (-2.117904, -2.035714, -1.804444),
    'preprocessor: white pixel, red to blue': (2.248908, 2.428571, 2.640000),
    'preprocessor: where a red pixel is high': 0,
    'training pipeline': (
        'LoadImageFromFile',
        'LoadAnnotations',
        'RandomFlip',
        'RandomResize',
        'Pad',
        'RandomCrop',
        'PackSegInputs',
    ),
    'training: decodes as PIL, orientation tag ignored': True,
    'training: flips in 100, direction': (50, 'left-right'),
    'training: smallest and largest long side': (260, 1040),
    'training: sizes of a 64x33 image at both ends (width, height)': ((260, 134), (1040, 536)),
    'training: sizes of a 33x64 image at both ends (width, height)': ((134, 260), (536, 1040)),
    'training: resizes the image as PIL does': 'BILINEAR',
    'training: resizes the labels as PIL does': 'NEAREST',
    'training: border to the right and below, image and label': ((0, 0, 0), 255),
    'training: image of 300x100 (width, height) after the padding': (480, 480),
    'training: crops of a 490x500 image (width, height): corners, size': ((0, 10), (0, 20), (480, 480)),
    'training: crops of one class are taken': True,
    'training: label of 0, 1 and 2 in a file': (255, 0, 1),
    'training: batch of images and labels': ((2, 3, 480, 480), (1, 480, 480)),
    'training: border after the normalisation, red to blue': (-2.117904, -2.035714, -1.804444),
    'loader: images on each of 8 GPUs, in all': (2, 16),
    'loader: sampler, shuffles': ('InfiniteSampler', True),
    'optimiser': ('OptimWrapper', 'SGD'),
    'optimiser: momentum, dampening, nesterov': (0.9, 0, False),
    'optimiser: weight decay of norms': {1e-4},
    'optimiser: weight decay of biases': {1e-4},
    'optimiser: weight decay of the other parameters': {1e-4},
    'optimiser: clipping, accumulated steps': (None, 1),
    'optimiser: parameters left out': 0,
    'optimiser: batch size that its rate is for, scales by itself': (16, False),
    'schedule: loop': 'IterBasedTrainLoop',
    'schedule: schedulers, counts epochs': (['PolyLR'], False),
    'test: mode': 'whole',
    'test: batch size, sampler, shuffles': (1, 'DefaultSampler', False),
    'test: image of 64x32 (width, height), its labels': ((520, 260), (64, 32)),
    'test: resizes the image as PIL does': 'BILINEAR',
    'test: metric': ('IoUMetric', ('mIoU',), 255),
    'evaluator': 'resnest_mm.MultiScaleSlideTTA',
    'evaluator: long side at scale 1, window': (520, 480),
    'evaluator: scales': (0.5, 0.75, 1.0, 1.25, 1.5, 1.75),
    'evaluator: flips': True,
    'evaluator: image of 64x32 (width, height), its labels': ((64, 32), (64, 32)),
}

_DEPTHS: Final[Mapping[int, Mapping[str, Any]]] = {
    50: {
        'backbone: blocks by stage': (3, 4, 6, 3),
        'backbone, stem: in, out, kernel, stride': ((3, 32, 3, 2), (32, 32, 3, 1), (32, 64, 3, 1)),
        'backbone: norms': 71,
        'backbone: million parameters with a classifier of 1000': 27.48,
        'weights': ('resnest50-528c19ca.pth', 'resnest50'),
    },
    101: {
        'backbone: blocks by stage': (3, 4, 23, 3),
        'backbone, stem: in, out, kernel, stride': ((3, 64, 3, 2), (64, 64, 3, 1), (64, 128, 3, 1)),
        'backbone: norms': 139,
        'backbone: million parameters with a classifier of 1000': 48.28,
        'weights': ('resnest101-22405ba7.pth', 'resnest101'),
    },
    200: {
        'backbone: blocks by stage': (3, 24, 36, 3),
        'backbone, stem: in, out, kernel, stride': ((3, 64, 3, 2), (64, 64, 3, 1), (64, 128, 3, 1)),
        'backbone: norms': 271,
        'backbone: million parameters with a classifier of 1000': 70.20,
        'weights': ('resnest200-75117900.pth', 'resnest200'),
    },
    269: {
        'backbone: blocks by stage': (3, 30, 48, 8),
        'backbone, stem: in, out, kernel, stride': ((3, 64, 3, 2), (64, 64, 3, 1), (64, 128, 3, 1)),
        'backbone: norms': 363,
        'backbone: million parameters with a classifier of 1000': 110.93,
        'weights': ('resnest269-0cc87c48.pth', 'resnest269'),
    },
}

_HEADS: Final[Mapping[str, Mapping[str, Any]]] = {
    'fcn': {
        'decode head': 'resnest_mm.FCNHead',
        'decode head: convolutions (in, out, kernel, dilation)': [(2048, 512, 3, 1)],
        'decode head: dropouts': ['Dropout 0.1'],
        'decode head: norms': 1,
        'decode head: channels of the classifier': 512,
    },
    'deeplab': {
        'decode head': 'resnest_mm.DeepLabV3Head',
        'decode head: convolutions (in, out, kernel, dilation)': [
            (256, 256, 3, 1),
            (1280, 256, 1, 1),
            (2048, 256, 1, 1),
            (2048, 256, 1, 1),
            (2048, 256, 3, 12),
            (2048, 256, 3, 24),
            (2048, 256, 3, 36),
        ],
        'decode head: dropouts': ['Dropout 0.1', 'Dropout2d 0.5'],
        'decode head: norms': 7,
        'decode head: channels of the classifier': 256,
    },
}

_DATA: Final[Mapping[str, Mapping[str, Any]]] = {
    'ade20k': {
        'data set': 'ADE20KDataset',
        'data set: classes, of both classifiers': (150, 150, 150),
        'data set: first and last class': ('wall', 'flag'),
        'data set: training files': ('images/training/a.jpg', 'annotations/training/a.png'),
        'data set: validation files': ('images/validation/b.jpg', 'annotations/validation/b.png'),
        'data set: folder': 'data/ade/ADEChallengeData2016',
    },
    'pascal-context-59': {
        'data set': 'PascalContextDataset59',
        'data set: classes, of both classifiers': (59, 59, 59),
        'data set: first and last class': ('aeroplane', 'wood'),
        'data set: training files': ('JPEGImages/a.jpg', 'SegmentationClassContext/a.png'),
        'data set: validation files': ('JPEGImages/b.jpg', 'SegmentationClassContext/b.png'),
        'data set: folder': 'data/VOCdevkit/VOC2010',
    },
}

_SCHEDULES: Final[Mapping[str, Mapping[str, Any]]] = {
    '180e': {
        'schedule: iterations': 227340,
        'schedule: iterations between evaluations, between checkpoints': (12630, 12630),
        'optimiser: rates of backbone, decode head, auxiliary head': ({0.004}, {0.04}, {0.04}),
    },
    '120e': {
        'schedule: iterations': 151560,
        'schedule: iterations between evaluations, between checkpoints': (12630, 12630),
        'optimiser: rates of backbone, decode head, auxiliary head': ({0.01}, {0.1}, {0.1}),
    },
    '80e': {
        'schedule: iterations': 24960,
        'schedule: iterations between evaluations, between checkpoints': (3120, 3120),
        'optimiser: rates of backbone, decode head, auxiliary head': ({0.001}, {0.01}, {0.01}),
    },
}


def truth(name: str) -> dict[str, Any]:
    """Return everything that is known of a recipe, by what it says."""
    entry = ENTRIES[name]
    parts = (_SHARED, _DEPTHS[entry.depth], _HEADS[entry.head], _DATA[entry.data], _SCHEDULES[entry.schedule])
    published = {
        'published: model, beginning of its sha1': (entry.model, entry.sha1),
        'published: pixAcc, mIoU in per cent': (entry.pix_acc, entry.miou),
    }
    known = {key: value for part in (*parts, published) for key, value in part.items()}
    assert len(known) == sum(map(len, (*parts, published))), 'a value stands in two tables'
    return known
