"""Keys and shapes of the released models, written down in `key_lists/*.txt` apart from the code that converts them.

In those files `{1..4}` counts, `{all2}` counts the blocks of stage 2 and `{rest2}` all but its first, `{stem}`,
`{half}` and `{classes}` are sizes, `{bn}` stands for what a batch norm keeps, `{frozen}` for the same without its
counter, and `{wb}` for a weight and its bias.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

FOLDER = Path(__file__).with_suffix('')
BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 200: (3, 24, 36, 3), 269: (3, 30, 48, 8)}
STATISTICS = ('weight', 'bias', 'running_mean', 'running_var')

FASTER = ('pyramid', 'boxes')
CASCADE = ('pyramid', 'cascade')


@dataclass(frozen=True)
class Released:
    """A released model: its depth, its lists, and the keys it has and is left with after conversion."""

    depth: int
    lists: tuple[str, ...]
    keys: int
    converted: int


DETECTORS = {
    'faster_rcnn_ResNeSt_50_FPN_syncbn_range-scale_1x': Released(50, FASTER, 547, 542),
    'faster_rcnn_ResNeSt_50_FPN_dcn_syncbn_range-scale_1x': Released(50, (*FASTER, 'offsets'), 573, 568),
    'faster_rcnn_ResNeSt_101_FPN_syncbn_range-scale_1x': Released(101, FASTER, 1006, 1001),
    'faster_cascade_rcnn_ResNeSt_50_FPN_syncbn_range-scale-1x': Released(50, CASCADE, 607, 602),
    'faster_cascade_rcnn_ResNeSt_101_FPN_syncbn_range-scale_1x': Released(101, CASCADE, 1066, 1061),
    'faster_cascade_rcnn_ResNeSt_200_FPN_syncbn_range-scale_1x': Released(200, CASCADE, 1957, 1952),
    'mask_rcnn_ResNeSt_50_FPN_syncBN_1x': Released(50, (*FASTER, 'masks'), 575, 570),
    'mask_rcnn_ResNeSt_101_FPN_syncBN_1x': Released(101, (*FASTER, 'masks'), 1034, 1029),
    'mask_cascade_rcnn_ResNeSt_50_FPN_syncBN_1x': Released(50, (*CASCADE, 'masks'), 635, 630),
    'mask_cascade_rcnn_ResNeSt_101_FPN_syncBN_1x': Released(101, (*CASCADE, 'masks'), 1094, 1089),
    'mask_cascade_rcnn_ResNeSt_200_FPN_syncBN_all_tricks_3x': Released(200, (*CASCADE, 'masks_of_8'), 2009, 2004),
    'mask_cascade_rcnn_ResNeSt_200_FPN_dcn_syncBN_all_tricks_3x': Released(
        200, (*CASCADE, 'masks_of_8', 'offsets'), 2135, 2130
    ),
    'panoptic_ResNeSt_200_FPN_syncBN_tricks_3x': Released(
        200, (*CASCADE, 'masks_without_norm', 'semantic'), 1978, 1973
    ),
}
SEGMENTORS = {
    f'{head}_ResNeSt{depth}_{data}': (depth, head.lower(), classes)
    for head, depths in (('FCN', (50,)), ('DeepLab', (50, 101, 200, 269)))
    for depth in depths
    for data, classes in (('ADE', 150), ('PContext', 59))
}


def detector(released: Released) -> dict[str, Tensor]:
    """Return a released detector of detectron2, shapes only."""
    inner = ['backbone', *(['offsets'] if 'offsets' in released.lists else [])]
    return {
        **tensors(inner, 'detectron2', depth=released.depth, prefix='backbone.bottom_up.'),
        **tensors([part for part in released.lists if part not in inner], 'detectron2', depth=released.depth),
    }


def segmentor(name: str) -> dict[str, Tensor]:
    """Return a released segmentation model of PyTorch-Encoding, shapes only."""
    depth, head, classes = SEGMENTORS[name]
    return {
        **tensors(['backbone'], 'official', depth=depth, prefix='pretrained.'),
        **tensors([head, 'auxiliary'], 'encoding', depth=depth, classes=classes),
    }


def classifier(depth: int) -> dict[str, Tensor]:
    """Return an official ImageNet checkpoint, shapes only."""
    return {**tensors(['backbone'], 'official', depth=depth), **tensors(['classifier'], '', depth=depth)}


def tensors(lists: list[str], suffix: str, *, depth: int, classes: int = 0, prefix: str = '') -> dict[str, Tensor]:
    """Return tensors with the keys and shapes of some lists, on the meta device."""
    sizes = {'stem': 64 if depth == 50 else 128, 'half': 32 if depth == 50 else 64, 'classes': classes}
    found: dict[str, Tensor] = {}
    for part in lists:
        path = FOLDER / f'{part}_{suffix}.txt' if suffix else FOLDER / f'{part}.txt'
        for line in path.read_text().splitlines():
            pattern, shape = line.split()
            size = tuple(map(int, shape.format(**sizes).split('x')))
            for key, own_shape, dtype in _expand(pattern, size, depth):
                assert prefix + key not in found
                found[prefix + key] = torch.empty(own_shape, dtype=dtype, device='meta')
    return found


def _expand(pattern: str, shape: tuple[int, ...], depth: int) -> Iterator[tuple[str, tuple[int, ...], torch.dtype]]:
    texts = re.split(r'(\{[^}]+\})', pattern)
    choices = [_choices(text[1:-1], depth) if text.startswith('{') else [text] for text in texts]
    for parts in itertools.product(*choices):
        key = ''.join(parts)
        name = key.rpartition('.')[2]
        if name == 'num_batches_tracked':
            yield key, (), torch.int64
        else:
            yield key, shape[:1] if pattern.endswith('{wb}') and name == 'bias' else shape, torch.float32


def _choices(text: str, depth: int) -> list[str]:
    if text in ('bn', 'frozen'):
        return [*STATISTICS, *(['num_batches_tracked'] if text == 'bn' else [])]
    if text == 'wb':
        return ['weight', 'bias']
    if count := re.fullmatch(r'(all|rest)(\d)', text):
        return [str(index) for index in range(count[1] == 'rest', BLOCKS[depth][int(count[2]) - 1])]
    first, last = map(int, text.split('..'))
    return [str(index) for index in range(first, last + 1)]
