"""State dicts of this package's backbone in the layouts of others, renamed apart from the code that converts them."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor

from resnest_mm.weights.convert.backbone import convert_backbone

State = dict[str, Tensor]


def official(state: State) -> State:
    """Rename this layout to the official one, with a classifier."""
    stem = {**{f'stem.{i}.': f'conv1.{i}.' for i in (0, 1, 3, 4, 6)}, 'stem.7.': 'bn1.'}
    renamed = {}
    for key, value in state.items():
        prefix = next((prefix for prefix in stem if key.startswith(prefix)), None)
        renamed[key if prefix is None else stem[prefix] + key.removeprefix(prefix)] = value
    return {**renamed, 'fc.weight': torch.zeros(10, 512), 'fc.bias': torch.zeros(10)}


def detectron2(state: State) -> State:
    """Rename to detectron2's layout, without a prefix."""
    return convert_backbone(state, target='detectron2', target_prefix='')


def mmpretrain(state: State) -> State:
    """Rename to mmpretrain's layout, which differs in the stem."""
    parts = {0: '0.conv', 1: '0.bn', 3: '1.conv', 4: '1.bn', 6: '2.conv', 7: '2.bn'}
    return {re.sub(r'^stem\.(\d)', lambda m: f'stem.{parts[int(m.group(1))]}', key): v for key, v in state.items()}


def prefixed(prefix: str) -> Callable[[State], State]:
    """Return what puts a prefix before every key and adds a key of a neck."""
    return lambda state: {**{prefix + key: value for key, value in state.items()}, 'neck.weight': torch.zeros(1)}


def resnet(state: State) -> State:
    """Return the keys of a ResNet, which has no split attention."""
    return {
        **{k: v for k, v in state.items() if k.startswith('layer') and '.conv2.' not in k},
        'conv1.weight': torch.zeros(64, 3, 7, 7),
        **{f'layer{i}.0.conv2.weight': torch.zeros(16, 16, 3, 3) for i in (1, 2, 3, 4)},
    }
