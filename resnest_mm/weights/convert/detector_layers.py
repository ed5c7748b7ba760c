"""The layers of R-CNN detectors outside the backbone, each with its name in detectron2 and in mmdet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from resnest_mm.weights.convert.heads import HeadLayer, Size

LEVELS: Final = (2, 3, 4, 5)
"""Levels of the feature pyramid that have layers of their own."""

_BOX: Final = ('roi_heads.box_head', 'roi_head.bbox_head')
_MASK: Final = ('roi_heads.mask_head', 'roi_head.mask_head')
_SEMANTIC: Final = ('sem_seg_head', 'semantic_head')
_PATTERNS: Final = {
    # Fields of DetectorStructure, each with a pattern of detectron2's keys and one of mmdet's. Different matches of the
    # group are counted.
    'stages': (r'roi_heads\.box_head\.(\d+)\.', r'roi_head\.bbox_head\.(\d+)\.'),
    'box_convs': (
        r'roi_heads\.box_head\.(?:\d+\.)?conv(\d+)\.weight',
        r'roi_head\.bbox_head\.(?:\d+\.)?shared_convs\.(\d+)\.conv\.weight',
    ),
    'box_fcs': (
        r'roi_heads\.box_head\.(?:\d+\.)?fc(\d+)\.weight',
        r'roi_head\.bbox_head\.(?:\d+\.)?shared_fcs\.(\d+)\.weight',
    ),
    'mask_convs': (r'roi_heads\.mask_head\.mask_fcn(\d+)\.weight', r'roi_head\.mask_head\.convs\.(\d+)\.conv\.weight'),
    'neck_norms': (r'backbone\.fpn_(lateral\d|output\d)\.norm\.', r'neck\.(\w+\.\d)\.bn\.'),
    'box_norms': (
        r'roi_heads\.box_head\.(?:\d+\.)?conv(\d+)\.norm\.',
        r'roi_head\.bbox_head\.(?:\d+\.)?shared_convs\.(\d+)\.bn\.',
    ),
    'mask_norms': (r'roi_heads\.mask_head\.mask_fcn(\d+)\.norm\.', r'roi_head\.mask_head\.convs\.(\d+)\.bn\.'),
    'semantic': (r'(sem_seg_head)\.', r'(semantic_head)\.'),
    'semantic_norms': (
        r'sem_seg_head\.(p\d\.\d)\.norm\.',
        r'semantic_head\.conv_upsample_layers\.(\d\.conv\.\d)\.bn\.',
    ),
    'semantic_biases': (
        r'sem_seg_head\.(p\d\.\d)\.bias',
        r'semantic_head\.conv_upsample_layers\.(\d\.conv\.\d)\.conv\.bias',
    ),
}


@dataclass(frozen=True)
class DetectorStructure:
    """How many layers of each kind a detector has.

    `stages` counts the box heads of a cascade, `semantic` is 1 where there is a semantic head, and the names ending in
    `norms` and `biases` count the layers that have one.
    """

    stages: int
    box_convs: int
    box_fcs: int
    mask_convs: int
    neck_norms: int
    box_norms: int
    mask_norms: int
    semantic: int
    semantic_norms: int
    semantic_biases: int


def read_structure(keys: Iterable[str], *, of_mmdet: bool) -> DetectorStructure:
    """Return how many layers of each kind a detector has.

    Args:
        keys: Its keys without those of the backbone.
        of_mmdet: Whether these are mmdet's names; otherwise they are detectron2's.
    """
    names = list(keys)
    counts = {}
    for what, patterns in _PATTERNS.items():
        matches = (re.match(patterns[of_mmdet], name) for name in names)
        counts[what] = len({match[1] for match in matches if match})
    return DetectorStructure(**counts)


def detector_layers(structure: DetectorStructure) -> Iterator[HeadLayer]:
    """Yield all layers of a detector's heads, so that the first layer with a named size can decide it."""
    for index, level in enumerate(LEVELS):
        for authors, host, inputs in (('lateral', 'lateral_convs', f'C{level}'), ('output', 'fpn_convs', 'pyramid')):
            kernel = 1 if authors == 'lateral' else 3
            name, module = f'backbone.fpn_{authors}{level}', f'neck.{host}.{index}'
            yield _conv(name, module, ('pyramid', inputs, kernel, kernel), norm=structure.neck_norms > 0)
    for authors, host, shape in _RPN:
        yield HeadLayer(f'proposal_generator.rpn_head.{authors}', f'rpn_head.{host}', shape, bias=True)
    stages = [f'.{stage}' for stage in range(structure.stages)] or ['']
    for stage in stages:
        yield from _box_head(structure, stage)
    if structure.mask_convs:
        yield from _mask_head(structure)
    if structure.semantic:
        yield from _semantic_head(structure)


_RPN: Final[tuple[tuple[str, str, tuple[Size, ...]], ...]] = (
    ('conv', 'rpn_conv', ('pyramid', 'pyramid', 3, 3)),
    ('objectness_logits', 'rpn_cls', ('anchors', 'pyramid', 1, 1)),
    ('anchor_deltas', 'rpn_reg', ((4, 'anchors'), 'pyramid', 1, 1)),
)


def _box_head(structure: DetectorStructure, stage: str) -> Iterator[HeadLayer]:
    authors, host = (f'{module}{stage}' for module in _BOX)
    channels: Size = 'pyramid'
    for index in range(structure.box_convs):
        name, module = f'{authors}.conv{index + 1}', f'{host}.shared_convs.{index}'
        yield _conv(name, module, ('box', channels, 3, 3), norm=structure.box_norms > 0)
        channels = 'box'
    features: Size = (49, str(channels))  # 7x7 pixels, channel by channel in both
    for index in range(structure.box_fcs):
        yield HeadLayer(f'{authors}.fc{index + 1}', f'{host}.shared_fcs.{index}', ('hidden', features), bias=True)
        features = 'hidden'
    predictor = f'roi_heads.box_predictor{stage}'
    yield HeadLayer(f'{predictor}.cls_score', f'{host}.fc_cls', ('scores', features), bias=True)
    yield HeadLayer(f'{predictor}.bbox_pred', f'{host}.fc_reg', ('boxes', features), bias=True)


def _mask_head(structure: DetectorStructure) -> Iterator[HeadLayer]:
    authors, host = _MASK
    channels = 'pyramid'
    for index in range(structure.mask_convs):
        name, module = f'{authors}.mask_fcn{index + 1}', f'{host}.convs.{index}'
        yield _conv(name, module, ('mask', channels, 3, 3), norm=structure.mask_norms > 0)
        channels = 'mask'
    yield HeadLayer(f'{authors}.deconv', f'{host}.upsample', ('mask', 'mask', 2, 2), bias=True)
    yield HeadLayer(f'{authors}.predictor', f'{host}.conv_logits', ('masks', 'mask', 1, 1), bias=True)


def _semantic_head(structure: DetectorStructure) -> Iterator[HeadLayer]:
    authors, host = _SEMANTIC
    for index, level in enumerate(LEVELS):
        for position in range(max(index, 1)):  # detectron2 numbers the upsampling between the convolutions, too
            name = f'{authors}.p{level}.{2 * position}'
            module = f'{host}.conv_upsample_layers.{index}.conv.{position}'
            yield _conv(
                name,
                module,
                ('semantic', 'semantic' if position else 'pyramid', 3, 3),
                norm=structure.semantic_norms > 0,
                bias=structure.semantic_biases > 0,
            )
    yield HeadLayer(f'{authors}.predictor', f'{host}.conv_logits', ('areas', 'semantic', 1, 1), bias=True)


def _conv(authors: str, host: str, shape: tuple[Size, ...], *, norm: bool, bias: bool | None = None) -> HeadLayer:
    """Return a convolution of mmcv's `ConvModule`, which by default has a bias where it has no norm."""
    norms = (f'{authors}.norm', f'{host}.bn') if norm else None
    return HeadLayer(authors, f'{host}.conv', shape, bias=not norm if bias is None else bias, norms=norms)
