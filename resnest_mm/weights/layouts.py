"""Key layouts of ResNeSt checkpoints: how to tell them apart, and how to rename the official one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

Value = TypeVar('Value')

_OFFICIAL_STEM: Final[Mapping[str, str]] = {
    **{f'conv1.{index}.': f'stem.{index}.' for index in (0, 1, 3, 4, 6)},
    'bn1.': 'stem.7.',
}
_CLASSIFIER: Final = 'fc.'


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
            raise ValueError(f'{key!r} is no key of the official layout; this looks like {describe_layout(state)}')
        renamed[key if stem is None else _OFFICIAL_STEM[stem] + key[len(stem) :]] = value
    return renamed


def describe_layout(keys: Iterable[str]) -> str:
    """Say in words whose checkpoint has such keys."""
    names = set(keys)
    for prefix in ('module.', 'backbone.', 'state_dict.', 'model.', 'pretrained.'):
        if any(name.startswith(prefix) for name in names):
            return f'a whole model or a wrapped one with the prefix {prefix!r}'
    if any(name.startswith('backbone.bottom_up.') or name.startswith('res2.') for name in names):
        return 'the detectron2 layout'
    if 'stem.0.conv.weight' in names:
        return 'the mmpretrain layout'
    splits = any('.conv2.fc1.' in name for name in names)
    if 'stem.0.weight' in names and splits:
        return 'a ResNeSt of this layout'
    if 'conv1.0.weight' in names and splits:
        return 'the official (also timm) layout'
    if any(re.fullmatch(r'layer1\.0\.conv\d\.weight', name) for name in names) and not splits:
        return 'a ResNet without split attention'
    return 'no layout known here'
