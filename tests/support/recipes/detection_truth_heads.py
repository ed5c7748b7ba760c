"""The box and mask heads of the COCO recipes of detectron2-ResNeSt@54ec876 as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_CONVS: Final = ((256, 256, 3),) * 4
_LEVELS: Final = {10: 2, 111: 2, 113: 3, 223: 3, 225: 4, 447: 4, 449: 5, 2000: 5}

_BOXES: Final[Mapping[str, Any]] = {
    'boxes, pooling: layer, size, samples, aligned': {('RoIAlign', (7, 7), 0, True)},
    'boxes, pooling: strides': (4, 8, 16, 32),
    'boxes, pooling: level of a square by its side': _LEVELS,
    'boxes, head: linear layers before the outputs (in, out)': ((256 * 49, 1024),),
    'boxes, head: convolutions (in, out, kernel), biases': (_CONVS, 0),
    'boxes, head: norms': 4,
    'boxes, head: class': 'resnest_mm.Detectron2Shared4Conv1FCBBoxHead',
    'boxes, head: classes': 80,
    'boxes, head: outputs of the classifier': (1024, 81),
    'boxes, head: class loss, sigmoid, weight': ('CrossEntropyLoss', False, 1.0),
    'boxes, head: box loss, weight, decodes': ('L1Loss', 1.0, False),
    'boxes, head: means of deltas': {(0.0, 0.0, 0.0, 0.0)},
    'boxes, assigner': {'MaxIoUAssigner'},
    'boxes, assigner: matches of low quality, ignored by crowds': {(False, -1)},
    'boxes, first sampler: kind, boxes, share of positives, adds objects, limit of negatives': (
        'RandomSampler',
        512,
        0.25,
        True,
        -1,
    ),
    'boxes, weight of positives': {-1},
}

BOX_HEADS: Final[Mapping[str, Mapping[str, Any]]] = {
    'faster': {
        **_BOXES,
        'roi head': 'StandardRoIHead',
        'rpn, training: boxes of an image after NMS': 1000,
        'boxes: heads': 1,
        'boxes, head: outputs of the boxes, agnostic of class': (320, False),
        'boxes, deviations of deltas by stage': ((0.1, 0.1, 0.2, 0.2),),
        'boxes, overlaps by stage: least of positives, most of negatives, least of matches': ((0.5, 0.5, 0.5),),
        'boxes, weights of stages': None,
        'boxes, stages that sample': (True,),
    },
    'cascade': {
        **_BOXES,
        'roi head': 'resnest_mm.Detectron2CascadeRoIHead',
        'rpn, training: boxes of an image after NMS': 2000,
        'boxes: heads': 3,
        'boxes, head: outputs of the boxes, agnostic of class': (4, True),
        'boxes, deviations of deltas by stage': (
            (1 / 10, 1 / 10, 1 / 5, 1 / 5),
            (1 / 20, 1 / 20, 1 / 10, 1 / 10),
            (1 / 30, 1 / 30, 1 / 15, 1 / 15),
        ),
        'boxes, overlaps by stage: least of positives, most of negatives, least of matches': (
            (0.5, 0.5, 0.5),
            (0.6, 0.6, 0.6),
            (0.7, 0.7, 0.7),
        ),
        'boxes, weights of stages': (1, 1, 1),
        'boxes, stages that sample': (True, False, False),
    },
}


def _masks(convs: int) -> Mapping[str, Any]:
    return {
        'test: metrics': (('CocoMetric', ('bbox', 'segm')),),
        'masks, head': 'resnest_mm.Detectron2FCNMaskHead',
        'masks, head: convolutions (in, out, kernel)': ((256, 256, 3),) * convs,
        'masks, head: norms': convs,
        'masks, head: biases of convolutions': 0,
        'masks, head: enlarging layer (in, out, kernel, stride)': ('ConvTranspose2d', 256, 256, 2, 2),
        'masks, head: predictor (in, out, kernel)': (256, 80, 1),
        'masks, head: masks agnostic of class': False,
        'masks, head: loss, over pixels of a mask, weight': ('CrossEntropyLoss', True, 1.0),
        'masks, pooling: layer, size, samples, aligned': {('RoIAlign', (14, 14), 0, True)},
        'masks, pooling: strides': (4, 8, 16, 32),
        'masks, pooling: level of a square by its side': _LEVELS,
        'masks: pixels of a target': 28,
        'masks: least probability in the test': 0.5,
    }


MASKS: Final[Mapping[int | str, Mapping[str, Any]]] = {
    0: {'test: metrics': (('CocoMetric', ('bbox',)),), 'masks, head': None},
    4: _masks(4),
    8: _masks(8),
    'panoptic': {
        **_masks(4),
        'test: metrics': (('CocoPanopticMetric', None), ('CocoMetric', ('bbox', 'segm'))),
        'masks, head: norms': 0,
        'masks, head: biases of convolutions': 4,
    },
}

STUFF: Final[Mapping[bool, Mapping[str, Any]]] = {
    False: {'stuff, head': None},
    True: {
        'stuff, head': 'resnest_mm.Detectron2SemanticHead',
        'stuff, head: convolutions (in, out, kernel)': (
            (256, 128, 3),
            (256, 128, 3),
            (256, 128, 3),
            (128, 128, 3),
            (256, 128, 3),
            (128, 128, 3),
            (128, 128, 3),
            (128, 54, 1),
        ),
        'stuff, head: norms, biases': (0, 1),
        'stuff, head: pixels of the logits of an image of 128': 32,
        'stuff, loss: kind, weight, ignored label, averages over labelled pixels': (
            'CrossEntropyLoss',
            0.5,
            255,
            True,
        ),
        'stuff, labels of the training: things, stuff, neither': {0, 1, 53, 255},
        'stuff, border of the labels': {255},
        'stuff, training files': 'annotations/panoptic_stuff_train2017',
        'panoptic, things, stuff': (80, 53),
        'panoptic, least score, most overlap, least pixels of stuff': (0.5, 0.5, 4096),
        'panoptic, classes of the test, first stuff, last': (133, 'banner', 'rug-merged'),
    },
}
