"""Whose names a checkpoint has, in words for the message about a file that does not fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

Value = TypeVar('Value')

_OFFICIAL_STEM: Final[Mapping[str, str]] = {
    **{f'conv1.{index}.': f'stem.{index}.' for index in (0, 1, 3, 4, 6)},
    'bn1.': 'stem.7.',
}
_CLASSIFIER: Final = 'fc.'
_PREFIXES: Final = (
    'state_dict.',
    'module.',
    'model.',
    'pretrained.',
    'detector.',
    'backbone.bottom_up.',
    'bottom_up.',
    'backbone.',
    'encoder.',
)
_RENAME: Final = 'its keys have to be renamed to this layout first: python tools/convert_checkpoint.py FILE NEW_FILE'


@dataclass(frozen=True)
class Layout:
    """Whose names a checkpoint has.

    Args:
        name: What it is called in a message, to follow "It looks like".
        advice: What to do to load it.
    """

    name: str
    advice: str


OWN: Final = Layout(
    'a ResNeSt in this layout', 'choose the depth, stem_channels, radix, groups and base_width of the file'
)
OFFICIAL: Final = Layout(
    'the official (also timm) layout',
    'rename its keys with python tools/convert_checkpoint.py FILE NEW_FILE, or in Python with '
    'resnest_mm.weights.from_official, and save the result',
)
DETECTRON2: Final = Layout('the detectron2 layout', _RENAME)
MMPRETRAIN: Final = Layout('the mmpretrain layout', _RENAME)
GLUON: Final = Layout('the Gluon layout', _RENAME)
ZCLS: Final = Layout('the ZCls layout', _RENAME)
GLASSES: Final = Layout('the glasses layout', _RENAME)
RESNET: Final = Layout(
    'a ResNet without split attention', 'use the weights of a ResNeSt, such as open-mmlab://resnest50'
)
UNKNOWN: Final = Layout('no layout known here', 'its keys have to be renamed to this layout first')


def from_official(state: Mapping[str, Value]) -> dict[str, Value]:
    """Return a state dict of the official package under the names of this package, without the classifier.

    Args:
        state: Names as in the official `resnest` package, which timm and torch hub share.

    Raises:
        ValueError: On a name that the official layout does not have.
    """
    renamed: dict[str, Value] = {}
    for key, value in state.items():
        if key.startswith(_CLASSIFIER):
            continue
        stem = next((prefix for prefix in _OFFICIAL_STEM if key.startswith(prefix)), None)
        if stem is None and not re.match(r'layer[1-4]\.\d+\.', key):
            raise ValueError(f'{key!r} is no key of the official layout; this looks like {recognise(state).name}')
        renamed[key if stem is None else _OFFICIAL_STEM[stem] + key[len(stem) :]] = value
    return renamed


def describe_layout(keys: Iterable[str]) -> str:
    """Say in words whose checkpoint has such keys, to follow "It looks like"."""
    return recognise(keys).name


def recognise(keys: Iterable[str]) -> Layout:
    """Return the layout that these names are most likely of."""
    names = set(keys)
    for prefix in _PREFIXES:
        inner = {name[len(prefix) :] for name in names if name.startswith(prefix)}
        if inner:
            return _wrapped(prefix, recognise(inner))
    if any(re.match(r'res[2-5]\.\d+\.', name) for name in names):
        return DETECTRON2
    if 'stem.0.conv.weight' in names:
        return GLASSES if any(name.startswith('layers.0.0.block.') for name in names) else MMPRETRAIN
    if any('.conv2.split.0.' in name for name in names):
        return ZCLS
    splits = any('.conv2.fc1.' in name for name in names)
    if 'stem.0.weight' in names and splits:
        return OWN
    if 'conv1.0.weight' in names and splits:
        return GLUON if 'bn1.gamma' in names else OFFICIAL
    if 'layer1.0.conv1.weight' in names and not splits:
        return RESNET
    return UNKNOWN


def _wrapped(prefix: str, inner: Layout) -> Layout:
    advice = f'name that part of the file in init_cfg, prefix={prefix!r}'
    return Layout(
        name=f'{inner.name} under the prefix {prefix!r}, as in a whole or wrapped model',
        advice=advice if inner is OWN else f'{advice}, but that is not enough: {inner.advice}',
    )
