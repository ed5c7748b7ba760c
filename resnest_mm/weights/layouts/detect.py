"""Which key layout a checkpoint has, and what it holds, from its keys alone.

A layout is detected by its markers: the keys of its first convolution, first norm and first gate, under any prefix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from resnest_mm.errors import ConversionError, first_names
from resnest_mm.weights.layouts.key_layout import KeyLayout
from resnest_mm.weights.layouts.tables import LAYOUTS

Part: TypeAlias = Literal['backbone', 'detector', 'segmentor', 'model']

_BY_MARKERS: Final = {layout.markers: layout for layout in reversed(tuple(LAYOUTS.values()))}
DETECTABLE: Final = tuple(layout for layout in LAYOUTS.values() if _BY_MARKERS[layout.markers] is layout)
"""The layouts that keys tell apart: of those with the same keys, which differ in how gates are computed, the first."""


@dataclass(frozen=True)
class DetectedLayout:
    """What the keys of a checkpoint say.

    Args:
        layout: Layout of its backbone.
        part: What it holds: a backbone (with or without a classifier), a detector or segmentor that can be converted
            as a whole, or another model that contains a backbone.
        prefix: Prefix of the backbone's keys.
        evidence: The reasons, one line each.
    """

    layout: KeyLayout
    part: Part
    prefix: str
    evidence: tuple[str, ...]

    def __str__(self) -> str:
        """Return layout, part and prefix in a few words."""
        under = f', the backbone under {self.prefix!r}' if self.prefix else ''
        return f'{self.layout.name} {self.part}{under}'


def detect_layout(keys: Iterable[str]) -> DetectedLayout:
    """Return the layout of a checkpoint and what the checkpoint holds.

    Args:
        keys: Its keys; prefixes such as `module.` or `backbone.` may be before them.

    Raises:
        ConversionError: If it holds no ResNeSt of a known layout, or several.
    """
    names = dict.fromkeys(keys)
    found = find_backbones(names)
    if not found:
        raise ConversionError(_no_backbone(names))
    if len(found) > 1:
        several = first_names(f'{prefix!r} ({layout.name})' for layout, prefix in found)
        raise ConversionError(f'the checkpoint holds several ResNeSts, name the prefix of one: {several}')
    layout, prefix = found[0]
    part, reason = _part(layout, prefix, other_keys(names, layout, prefix))
    evidence = [f'{prefix}{marker} is a key of the {layout.title}' for marker in layout.markers]
    return DetectedLayout(layout, part, prefix, (*evidence, reason))


def find_backbones(keys: Collection[str]) -> list[tuple[KeyLayout, str]]:
    """Return the layout and prefix of every ResNeSt that has all markers among the keys.

    Args:
        keys: Different keys.
    """
    return [(layout, prefix) for layout in DETECTABLE for prefix in find_prefixes(keys, layout)]


def find_closest(keys: Collection[str]) -> tuple[KeyLayout, str] | None:
    """Return the layout and prefix with the most markers: at least the gate and one more, else None.

    Args:
        keys: Different keys.
    """
    counts = [
        (count, layout, prefix)
        for layout in DETECTABLE
        for prefix, count in count_markers(keys, layout).items()
        if count > 1 and f'{prefix}{layout.gate}' in keys
    ]
    if not counts:
        return None
    _, layout, prefix = max(counts, key=lambda found: found[0])
    return layout, prefix


def is_plain_resnet(keys: Collection[str]) -> bool:
    """Return whether the keys are of a ResNet whose first block has no split attention.

    Args:
        keys: Different keys, of any layout.
    """
    first = {f'{layout.stages[0]}.0.{layout.block["conv1"]}.weight' for layout in DETECTABLE}
    gates = {layout.gate for layout in DETECTABLE}
    return _have_any(keys, first) and not _have_any(keys, gates)


def count_markers(keys: Iterable[str], layout: KeyLayout) -> Counter[str]:
    """Return under which prefixes the keys have markers of a layout, and how many of the three.

    Args:
        keys: Different keys.
        layout: The layout.
    """
    return Counter(key[: -len(marker)] for key in keys for marker in layout.markers if _ends_with(key, marker))


def find_prefixes(keys: Iterable[str], layout: KeyLayout) -> list[str]:
    """Return the prefixes under which the keys have all markers of a layout.

    Args:
        keys: Different keys.
        layout: The layout.
    """
    return [prefix for prefix, count in count_markers(keys, layout).items() if count == len(layout.markers)]


def other_keys(keys: Iterable[str], layout: KeyLayout, prefix: str) -> list[str]:
    """Return the keys that are neither of the backbone nor of its classifier.

    Args:
        keys: The keys of a checkpoint.
        layout: Layout of the backbone.
        prefix: Prefix of the backbone's keys.
    """
    classifier = {f'{module}.{name}' for module in layout.classifier_modules(prefix) for name in ('weight', 'bias')}
    return [key for key in keys if not key.startswith(prefix) and key not in classifier]


def _ends_with(key: str, name: str) -> bool:
    """Return whether a key is this name under some prefix."""
    return key.endswith(name) and (len(key) == len(name) or key[-len(name) - 1] == '.')


def _have_any(keys: Collection[str], names: Collection[str]) -> bool:
    return any(_ends_with(key, name) for key in keys for name in names)


def _no_backbone(names: Collection[str]) -> str:
    message = f'no ResNeSt of a known layout is among the {len(names)} keys ({first_names(names, most=3)})'
    if is_plain_resnet(names):
        return f'{message}: they are of a ResNet without split attention'
    closest = find_closest(names)
    if closest is not None:
        layout, prefix = closest
        missing = next(marker for marker in layout.markers if f'{prefix}{marker}' not in names)
        return f'{message}: the {layout.title} is closest, but has {prefix}{missing} too'
    known = ', '.join(layout.name for layout in DETECTABLE)
    return f'{message}. Known are {known}; if it is one of these, name it as the source to see which keys are missing'


def _part(layout: KeyLayout, prefix: str, others: Sequence[str]) -> tuple[Part, str]:
    if not others:
        return 'backbone', 'there is nothing else, except a classifier at most'
    base = layout.before_model(prefix)
    if base != prefix:
        for part, modules in layout.heads.items():
            key = next((key for key in others if key.startswith(tuple(f'{base}{module}.' for module in modules))), None)
            if key is not None:
                return part, f'{key} is a key of a {part}'
    return 'model', f'{others[0]} is not a key of a backbone'
