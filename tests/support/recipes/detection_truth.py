"""The thirteen COCO recipes of detectron2-ResNeSt as plain values.

Every value is typed from chongruo/detectron2-ResNeSt@54ec876 (configs/COCO-*, detectron2/config/defaults.py and
detectron2/modeling). None is read from a config or computed by the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.support.recipes.detection_truth_heads import BOX_HEADS, MASKS, STUFF


@dataclass(frozen=True)
class Entry:
    """One recipe: its parts, its size, and the row of the authors' table that it stands for.

    Args:
        depth: Of the backbone.
        box: 'faster' or 'cascade'.
        convs: Convolutions of the mask head, 0 without masks.
        dcn: Whether stages 2 to 4 have deformable convolutions.
        tricks: Whether it has the crop, the larger sizes and the schedule of three times the length; the panoptic
            recipe has no crop.
        trained: Parameters that are trained, as tensors.
        norms: How many of them belong to norms.
        model: Name of the authors' config.
        digest: Hash in the name of the released file, if any.
        ap: Published box AP, and mask AP, on val2017; before them PQ where it is panoptic.
        panoptic: Whether it has a semantic head, for which its mask head has no norms.
    """

    depth: int
    box: str
    convs: int
    dcn: bool
    tricks: bool
    trained: int
    norms: int
    model: str
    digest: str | None
    ap: tuple[float, ...]
    panoptic: bool = False


_RANGE, _MASK = 'FPN_syncbn_range-scale', 'FPN_syncBN'
ENTRIES: Final[Mapping[str, Entry]] = {
    'faster-rcnn_s50_fpn_1x_coco': Entry(
        50, 'faster', 0, False, False, 252, 134, f'faster_rcnn_ResNeSt_50_{_RANGE}_1x', 'ad123c0b', (42.33,)
    ),
    'faster-rcnn_s50_fpn_dcn_1x_coco': Entry(
        50, 'faster', 0, True, False, 278, 134, 'faster_rcnn_ResNeSt_50_FPN_dcn_syncbn_range-scale_1x', None, (44.11,)
    ),
    'faster-rcnn_s101_fpn_1x_coco': Entry(
        101, 'faster', 0, False, False, 507, 270, f'faster_rcnn_ResNeSt_101_{_RANGE}_1x', 'd8f284b6', (44.72,)
    ),
    'cascade-rcnn_s50_fpn_1x_coco': Entry(
        50, 'cascade', 0, False, False, 288, 150, f'faster_cascade_rcnn_ResNeSt_50_{_RANGE}-1x', 'e9955232', (45.41,)
    ),
    'cascade-rcnn_s101_fpn_1x_coco': Entry(
        101, 'cascade', 0, False, False, 543, 286, f'faster_cascade_rcnn_ResNeSt_101_{_RANGE}_1x', '3627ef78', (47.50,)
    ),
    'cascade-rcnn_s200_fpn_1x_coco': Entry(
        200, 'cascade', 0, False, False, 1038, 550, f'faster_cascade_rcnn_ResNeSt_200_{_RANGE}_1x', '1be2a87e', (49.03,)
    ),
    'mask-rcnn_s50_fpn_1x_coco': Entry(
        50, 'faster', 4, False, False, 268, 142, f'mask_rcnn_ResNeSt_50_{_MASK}_1x', 'f442d863', (42.81, 38.14)
    ),
    'mask-rcnn_s101_fpn_1x_coco': Entry(
        101, 'faster', 4, False, False, 523, 278, f'mask_rcnn_ResNeSt_101_{_MASK}_1x', '528502c6', (45.75, 40.65)
    ),
    'cascade-mask-rcnn_s50_fpn_1x_coco': Entry(
        50, 'cascade', 4, False, False, 304, 158, f'mask_cascade_rcnn_ResNeSt_50_{_MASK}_1x', 'c58bd325', (46.19, 39.55)
    ),
    'cascade-mask-rcnn_s101_fpn_1x_coco': Entry(
        101,
        'cascade',
        4,
        False,
        False,
        559,
        294,
        f'mask_cascade_rcnn_ResNeSt_101_{_MASK}_1x',
        '62448b9c',
        (48.30, 41.56),
    ),
    'cascade-mask-rcnn_s200_fpn_tricks-3x_coco': Entry(
        200,
        'cascade',
        8,
        False,
        True,
        1066,
        566,
        f'mask_cascade_rcnn_ResNeSt_200_{_MASK}_all_tricks_3x',
        None,
        (50.54, 44.21),
    ),
    'cascade-mask-rcnn_s200_fpn_dcn_tricks-3x_coco': Entry(
        200,
        'cascade',
        8,
        True,
        True,
        1192,
        566,
        'mask_cascade_rcnn_ResNeSt_200_FPN_dcn_syncBN_all_tricks_3x',
        'e1901134',
        (50.91, 44.50),
    ),
    'panoptic-fpn_s200_fpn_3x_coco': Entry(
        200,
        'cascade',
        4,
        False,
        True,
        1059,
        550,
        'panoptic_ResNeSt_200_FPN_syncBN_tricks_3x',
        '43f8b731',
        (47.90, 51.00, 43.68),
        panoptic=True,
    ),
}

MILLION_PARAMETERS: Final[Mapping[str, float]] = {
    'faster-rcnn_s50_fpn_1x_coco': 44.99,
    'faster-rcnn_s50_fpn_dcn_1x_coco': 45.86,
    'faster-rcnn_s101_fpn_1x_coco': 65.78,
    'cascade-rcnn_s50_fpn_1x_coco': 75.25,
    'cascade-rcnn_s101_fpn_1x_coco': 96.05,
    'mask-rcnn_s50_fpn_1x_coco': 47.63,
    'mask-rcnn_s101_fpn_1x_coco': 68.43,
    'cascade-mask-rcnn_s50_fpn_1x_coco': 77.90,
    'cascade-mask-rcnn_s101_fpn_1x_coco': 98.69,
}
"""Of the authors' models as built, without the scales and shifts of frozen norms, which are no parameters there."""

_DEEPER: Final = 20 * 305_344 + 13 * 1_216_896  # blocks of 128 and of 256 channels that depth 200 has beyond 101
_FOUR_MASK_CONVS: Final = 4 * (256 * 256 * 9 + 2 * 256)
_PLAIN_MASKS: Final = 4 * (256 * 256 * 9 + 256) + (256 * 256 * 4 + 256) + (256 * 80 + 80)
_SEMANTIC: Final = 4 * 256 * 128 * 9 + 3 * 128 * 128 * 9 + (128 * 54 + 54)
_OFFSETS: Final = (54 * 64 * 9 + 54, 54 * 128 * 9 + 54, 54 * 256 * 9 + 54)  # of one block in the stages 2, 3, 4
PARAMETERS_BEYOND: Final[Mapping[str, tuple[str, int]]] = {
    'faster-rcnn_s50_fpn_dcn_1x_coco': (
        'faster-rcnn_s50_fpn_1x_coco',
        4 * _OFFSETS[0] + 6 * _OFFSETS[1] + 3 * _OFFSETS[2],
    ),
    'cascade-rcnn_s200_fpn_1x_coco': ('cascade-rcnn_s101_fpn_1x_coco', _DEEPER),
    'cascade-mask-rcnn_s200_fpn_tricks-3x_coco': ('cascade-mask-rcnn_s101_fpn_1x_coco', _DEEPER + _FOUR_MASK_CONVS),
    'panoptic-fpn_s200_fpn_3x_coco': ('cascade-rcnn_s200_fpn_1x_coco', _PLAIN_MASKS + _SEMANTIC),
    'cascade-mask-rcnn_s200_fpn_dcn_tricks-3x_coco': (
        'cascade-mask-rcnn_s200_fpn_tricks-3x_coco',
        24 * _OFFSETS[0] + 36 * _OFFSETS[1] + 3 * _OFFSETS[2],
    ),
}
"""How many parameters a network has more than another, counted by hand from the layers."""

_SHARED: Final[Mapping[str, Any]] = {
    'backbone': 'resnest_mm.ResNeSt',
    'backbone, max pool: kernel, stride, padding': (3, 2, 1),
    'backbone: radix, groups, base width of blocks': (2, 1, (64, 128, 256, 512)),
    'backbone: channels of the attention by stage': (32, 64, 128, 256),
    'backbone, convolutions of several splits: strides, dilations, groups': ({1}, {1}, {2}),
    'backbone, convolutions of several splits: output channels by stage': (128, 256, 512, 1024),
    'backbone, average pools: place, kernel, stride, padding': (
        ('layer2.0', 3, 2, 1),
        ('layer2.0.downsample', 2, 2, 0),
        ('layer3.0', 3, 2, 1),
        ('layer3.0.downsample', 2, 2, 0),
        ('layer4.0', 3, 2, 1),
        ('layer4.0.downsample', 2, 2, 0),
    ),
    'backbone, average pools in shortcuts: ceil mode, count padding': {(True, False)},
    'norms': {'resnest_mm.NaiveSyncBN'},
    'norms: eps, momentum': {(1e-5, 0.1)},
    'norms in evaluation while training': 16,
    'parameters without gradient: where': {'backbone.layer1', 'backbone.stem'},
    'parameters of stem and first stage with gradient': 0,
    'neck': 'FPN',
    'neck, 1x1 convolutions: in, out': ((256, 256), (512, 256), (1024, 256), (2048, 256)),
    'neck, 3x3 convolutions: in, out': ((256, 256),) * 4,
    'neck, norms, biases, activations': (8, 0, 0),
    'neck: enlarges by': 'nearest',
    'neck: maps for stages of 120, 60, 30, 15 pixels: channels, pixels': (
        (256, 120),
        (256, 60),
        (256, 30),
        (256, 15),
        (256, 8),
    ),
    'rpn': 'resnest_mm.Detectron2RPNHead',
    'rpn: convolutions (in, out, kernel)': ((256, 256, 3), (256, 3, 1), (256, 12, 1)),
    'rpn: norms': 0,
    'anchors': 'resnest_mm.AllValidAnchorGenerator',
    'anchors: strides': (4, 8, 16, 32, 64),
    'anchors: first level, ratios 0.5, 1, 2': (
        (-22.6274, -11.3137, 22.6274, 11.3137),
        (-16.0, -16.0, 16.0, 16.0),
        (-11.3137, -22.6274, 11.3137, 22.6274),
    ),
    'anchors: sides of the squares by level': (32, 64, 128, 256, 512),
    'anchors: the second square of the first level stands at': (-12.0, -16.0, 20.0, 16.0),
    'rpn: means, deviations of deltas': ((0.0, 0.0, 0.0, 0.0), (1.0, 1.0, 1.0, 1.0)),
    'rpn: class loss, sigmoid, weight': ('CrossEntropyLoss', True, 1.0),
    'rpn: box loss, weight, decodes': ('L1Loss', 1.0, False),
    'rpn: assigner, least overlap of positives, most of negatives': ('resnest_mm.Detectron2RPNAssigner', 0.7, 0.3),
    'rpn: sampler, anchors, share of positives, adds objects': ('RandomSampler', 256, 0.5, False),
    'rpn: limit of negatives, allowed border, weight of positives': (-1, -1, -1),
    'rpn, training: boxes of a level before NMS': 2000,
    'rpn, test: boxes of a level before NMS, of an image after it': (1000, 1000),
    'rpn: overlap of NMS, least side, in training and test': ((0.7, 0), (0.7, 0)),
    'test: least score, NMS, overlap, boxes': (0.05, 'nms', 0.5, 100),
    'preprocessor: black pixel, red to blue': (-2.11806, -2.04445, -1.81157),
    'preprocessor: white pixel, red to blue': (2.2489, 2.41984, 2.63287),
    'preprocessor: where a red pixel is high': 0,
    'preprocessor: batch of an image of 33x65 (height, width), its border': ((1, 3, 64, 96), (0.0, 0.0, 0.0)),
    'data set': 'resnest_mm.Detectron2CocoDataset',
    'data set: classes, first, last': (80, 'person', 'toothbrush'),
    'data set: folder': 'data/coco/',
    'data set: training files': ('annotations/instances_train2017.json', 'train2017'),
    'data set: images kept with objects, one of them small': ('small.jpg', 'tall.jpg', 'wide.jpg'),
    'data set: images kept in the test': 6,
    'training: decodes as PIL, turned by the orientation tag': True,
    'training: objects and crowds of an image': (1, 1),
    'training: resizes as PIL does': 'BILINEAR',
    'training: flips in 100, box (1, 2, 4, 5) of a flipped image of 10 pixels': (50, (6.0, 2.0, 9.0, 5.0)),
    'loader: images on each of 8 GPUs, in all': (2, 16),
    'loader: sampler, shuffles': ('InfiniteSampler', True),
    'loader: batches': 'AspectRatioBatchSampler',
    'test: decodes as PIL, turned by the orientation tag': True,
    'test: size of 64x33 and of 40x40 (width, height)': ((1333, 687), (800, 800)),
    'test: resizes as PIL does': 'BILINEAR',
    'several scales: short sides and whether they are flipped, in their order; longest side': (
        tuple((short, flipped) for short in range(400, 1201, 100) for flipped in (False, True)),
        4000,
    ),
    'several scales: views of an image in one batch': 3,
    'several scales: least score, overlap of NMS, boxes': (1e-8, 0.5, 100),
    'test: images at once, sampler, shuffles': (1, 'DefaultSampler', False),
    'optimiser': ('OptimWrapper', 'SGD'),
    'optimiser: momentum, dampening, nesterov': (0.9, 0, False),
    'optimiser: rates': {0.02},
    'optimiser: weight decay of norms': {0.0},
    'optimiser: weight decay of biases': {1e-4},
    'optimiser: weight decay of the other parameters': {1e-4},
    'optimiser: clipping, accumulated steps': (None, 1),
    'optimiser: trained parameters left out': 0,
    'optimiser: batch size that its rate is for': 16,
    'schedule: loop': 'IterBasedTrainLoop',
    'schedule: counts epochs': False,
    'PreciseBN: iterations, once in the list of hooks': (200,),
    'PreciseBN: before the checkpoint': True,
    'DDP: own settings': None,
}

_DEPTHS: Final[Mapping[int, Mapping[str, Any]]] = {
    50: {
        'backbone: blocks by stage': (3, 4, 6, 3),
        'backbone, stem: in, out, kernel, stride': ((3, 32, 3, 2), (32, 32, 3, 1), (32, 64, 3, 1)),
        'weights': ('resnest50', '7497a55b'),
    },
    101: {
        'backbone: blocks by stage': (3, 4, 23, 3),
        'backbone, stem: in, out, kernel, stride': ((3, 64, 3, 2), (64, 64, 3, 1), (64, 128, 3, 1)),
        'weights': ('resnest101', 'f3b931b2'),
    },
    200: {
        'backbone: blocks by stage': (3, 24, 36, 3),
        'backbone, stem: in, out, kernel, stride': ((3, 64, 3, 2), (64, 64, 3, 1), (64, 128, 3, 1)),
        'weights': ('resnest200', 'ca88e41f'),
    },
}

_PLAIN, _DEFORMABLE = 'backbone, deformable convolutions by stage', 'backbone, offsets (channels, groups, bias, kernel)'
_DCN: Final[Mapping[tuple[bool, int], Mapping[str, Any]]] = {
    **{(False, depth): {_PLAIN: (0, 0, 0, 0)} for depth in (50, 101, 200)},
    (True, 50): {_PLAIN: (0, 4, 6, 3), _DEFORMABLE: {(54, 2, True, 3)}},
    (True, 200): {_PLAIN: (0, 24, 36, 3), _DEFORMABLE: {(54, 2, True, 3)}},
}

_SIZES, _SHORT = 'training: sizes of 64x33 (width, height), first and last', 'training: sizes of 40x40'
_STEPS: Final = ('LoadImageFromFile', 'LoadAnnotations', 'RandomFlip', 'PackDetInputs')
_DATA: Final[Mapping[str, Mapping[str, Any]]] = {
    'range': {
        'training: steps': (*_STEPS[:2], 'RandomResize', *_STEPS[2:]),
        _SIZES: ((1241, 640), (1333, 687)),
        _SHORT: (640, 800),
        'training: numbers drawn for a size': ((1333, 1333), (640, 800)),
        'training: masks': None,
    },
    'choice': {
        'training: steps': (*_STEPS[:2], 'RandomChoiceResize', *_STEPS[2:]),
        _SIZES: ((1241, 640), (1333, 687)),
        _SHORT: (640, 672, 704, 736, 768, 800),
        'training: numbers drawn for a size': ((0, 5),),
        'training: masks': 'PolygonMasks',
    },
    'crop': {
        'training: steps': (*_STEPS[:2], 'resnest_mm.CropAroundInstance', 'RandomResize', *_STEPS[2:]),
        _SIZES: ((1241, 640), (1440, 743)),
        _SHORT: (640, 864),
        'training: numbers drawn for a size': ((1440, 1440), (640, 864)),
        'training: masks': 'PolygonMasks',
        'training: crops of 200x100 (width, height): widths, heights': ((180, 200), (90, 100)),
        'training: crops without the centre of the only object': 0,
    },
    'panoptic': {
        'training: steps': (*_STEPS[:2], 'RandomResize', *_STEPS[2:]),
        _SIZES: ((776, 400), (1440, 743)),
        _SHORT: (400, 1000),
        'training: numbers drawn for a size': ((1440, 1440), (400, 1000)),
        'training: masks': 'PolygonMasks',
    },
}

_INSTANCE_FILES: Final[Mapping[str, Any]] = {
    'data set: validation files': ('annotations/instances_val2017.json', 'val2017'),
    'data set: images kept without anything': 0,
    'data set: images kept with nothing but a crowd': 0,
    'data set: images kept with nothing but a polygon of two points': 0,
}
_PANOPTIC_FILES: Final[Mapping[str, Any]] = {
    'data set: validation files': ('annotations/panoptic_val2017.json', 'val2017'),
    'data set: images kept without anything': 1,
    'data set: images kept with nothing but a crowd': 1,
    'data set: images kept with nothing but a polygon of two points': 1,
}

_SCHEDULES: Final[Mapping[bool, Mapping[str, Any]]] = {
    False: {'schedule: iterations, between evaluations': (90000, 90000)},
    True: {'schedule: iterations, between evaluations': (270000, 270000)},
}


def truth(name: str) -> dict[str, Any]:
    """Return everything that is known of a recipe, by what it says."""
    entry = ENTRIES[name]
    data = 'panoptic' if entry.panoptic else 'crop' if entry.tricks else 'choice' if entry.convs else 'range'
    parts = (
        _SHARED,
        _DEPTHS[entry.depth],
        _DCN[entry.dcn, entry.depth],
        BOX_HEADS[entry.box],
        MASKS['panoptic' if entry.panoptic else entry.convs],
        STUFF[entry.panoptic],
        _PANOPTIC_FILES if entry.panoptic else _INSTANCE_FILES,
        _DATA[data],
        _SCHEDULES[entry.tricks],
        {
            'detector': 'resnest_mm.Detectron2PanopticFPN'
            if entry.panoptic
            else 'CascadeRCNN'
            if entry.box == 'cascade'
            else 'MaskRCNN'
            if entry.convs
            else 'FasterRCNN',
            'optimiser: trained parameters, those without weight decay': (entry.trained, entry.norms),
            'published: model, hash in the name of its file': (entry.model, entry.digest),
            'published: in per cent': entry.ap,
        },
    )
    known = {key: value for part in parts for key, value in part.items()}
    assert len(known) == sum(map(len, parts)), 'a value stands in two tables'
    return known


def authors_rate(iteration: int, *, tricks: bool) -> float:
    """Return detectron2's rate of an iteration, counted from 0.

    Args:
        iteration: Which.
        tricks: Whether it is one of 270000 instead of 90000.
    """
    drops = (240000, 255000) if tricks else (60000, 80000)
    share = iteration / 1000
    warm_up = 0.001 * (1 - share) + share if iteration < 1000 else 1.0
    return 0.02 * warm_up * 0.1 ** sum(iteration >= drop for drop in drops)
