"""What a message says about keys that do not fit: what they look like, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from resnest_mm.errors import first_names
from resnest_mm.weights.layouts.detect import find_backbones, find_closest, is_plain_resnet
from resnest_mm.weights.layouts.tables import OWN

_CONVERT: Final = 'python tools/convert_checkpoint.py FILE NEW_FILE'


@dataclass(frozen=True)
class KeyDescription:
    """What the keys of a checkpoint look like.

    Args:
        title: Name of what they look like, to follow "it looks like".
        advice: What to do to load the checkpoint into a backbone of this package.
        is_own: Whether they are a backbone's keys in this package's layout, without a prefix.
    """

    title: str
    advice: str
    is_own: bool = False


def describe_keys(keys: Iterable[str]) -> KeyDescription:
    """Return what the keys of a checkpoint look like, also where the checkpoint is not complete."""
    names = dict.fromkeys(keys)
    found = find_backbones(names)
    if len(found) > 1:
        prefixes = sorted(prefix for _, prefix in found)
        return KeyDescription(
            f'{len(found)} ResNeSts, under the prefixes {first_names(map(repr, prefixes))}',
            f'name the part of the file to load in init_cfg, such as prefix={prefixes[-1]!r}',
        )
    closest = found[0] if found else find_closest(names)
    if closest is None:
        if is_plain_resnet(names):
            advice = 'use the weights of a ResNeSt, such as open-mmlab://resnest50'
            return KeyDescription('a ResNet without split attention', advice)
        return KeyDescription('no layout known here', f'rename its keys to those of the {OWN.title} first')
    layout, prefix = closest
    title = f'a ResNeSt in the {layout.title}'
    if prefix:
        title += f' under the prefix {prefix!r}, as in a whole or wrapped model'
    if layout is not OWN:
        part = ' --part backbone' if prefix else ''
        python = ', or in Python with resnest_mm.weights.from_official, and save the result'
        return KeyDescription(
            title,
            f'rename its keys with {_CONVERT}{part}{python if layout.name == "official" and not prefix else ""}',
        )
    if prefix:
        return KeyDescription(title, f'name that part of the file in init_cfg, prefix={prefix!r}')
    advice = 'choose the depth, stem_channels, radix, groups and base_width of the file'
    return KeyDescription(title, advice, is_own=True)
