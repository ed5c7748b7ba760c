"""Which layout a checkpoint has, and what it holds, from its keys alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from resnest_mm.errors import ConversionError
from resnest_mm.weights.convert.tensors import listed
from resnest_mm.weights.layouts.key_layout import KeyLayout
from resnest_mm.weights.layouts.recognition import recognise
from resnest_mm.weights.layouts.tables import LAYOUTS

Part: TypeAlias = Literal['backbone', 'detector', 'segmentor', 'model']

DETECTRON2_HEADS: Final = ('proposal_generator', 'roi_heads', 'sem_seg_head')
MMDET_HEADS: Final = ('neck', 'rpn_head', 'roi_head', 'bbox_head', 'mask_head', 'semantic_head')
MMSEG_HEADS: Final = ('decode_head', 'auxiliary_head')
ENCODING_HEADS: Final = ('head', 'auxlayer')
_SOURCES: Final = tuple(name for name in LAYOUTS if name not in ('zcls-bias', 'glasses-dense'))
"""Of layouts with the same keys, the first."""


@dataclass(frozen=True)
class Identification:
    """What a checkpoint's keys say.

    Args:
        layout: Layout of its backbone, a key of `resnest_mm.weights.layouts.tables.LAYOUTS`.
        part: What it holds: a backbone (with a classifier or without), a detector or segmentor that can be converted
            as a whole, or another model with a backbone in it.
        prefix: What stands before the backbone's keys.
        evidence: What says so, one line each.
    """

    layout: str
    part: Part
    prefix: str
    evidence: tuple[str, ...]


def identify(keys: Iterable[str]) -> Identification:
    """Return what a checkpoint is.

    Args:
        keys: Its keys; prefixes such as `module.` and `backbone.` may stand before them.

    Raises:
        ConversionError: There is no ResNeSt in it, or more than one.
    """
    names = list(keys)
    found = [(LAYOUTS[name], prefix) for name in _SOURCES for prefix in find_prefixes(names, LAYOUTS[name])]
    if not found:
        raise ConversionError(
            f'no ResNeSt of a known layout is among the {len(names)} keys, the first being {", ".join(names[:3])}; '
            f'they look like {recognise(names).name}. Known are {", ".join(_SOURCES)}: if it is one of these, name it '
            'as the source to see what is missing'
        )
    if len(found) > 1:
        raise ConversionError(
            'the checkpoint holds several ResNeSts, name the prefix of one: '
            + listed('found', [f'{prefix!r} ({layout.name})' for layout, prefix in found])
        )
    layout, prefix = found[0]
    others = outside(names, layout, prefix)
    part, reason = _part(layout, prefix, others)
    evidence = [f'{prefix}{marker} is a key of the {layout.title}' for marker in layout.markers]
    return Identification(layout.name, part, prefix, (*evidence, reason))


def find_prefixes(keys: Sequence[str], layout: KeyLayout) -> list[str]:
    """Return the prefixes under which the keys have the markers of a layout."""
    known = set(keys)
    first, *others = layout.markers
    prefixes = [key[: -len(first)] for key in keys if key == first or key.endswith(f'.{first}')]
    return [prefix for prefix in prefixes if all(prefix + marker in known for marker in others)]


def base_prefix(layout: KeyLayout, prefix: str) -> str:
    """Return what stands before the keys of the model that has the backbone.

    Args:
        layout: Layout of the backbone.
        prefix: What stands before the backbone's keys.
    """
    inner = layout.prefix
    if layout.name == 'mmdet' and prefix.endswith('backbone.'):
        inner = 'backbone.'
    if layout.name == 'official' and prefix.endswith('pretrained.'):
        inner = 'pretrained.'
    return prefix.removesuffix(inner)


def classifier_modules(layout: KeyLayout, prefix: str) -> tuple[str, ...]:
    """Return the modules that a classifier, or what a layout leaves out, is under."""
    bases = dict.fromkeys((prefix, base_prefix(layout, prefix)))
    names = layout.drops if layout.classifier is None else (layout.classifier,)
    return tuple(f'{base}{name}' for base in bases for name in names)


def outside(keys: Iterable[str], layout: KeyLayout, prefix: str) -> list[str]:
    """Return the keys that belong neither to the backbone nor to its classifier."""
    classifiers = classifier_modules(layout, prefix)
    return [
        key
        for key in keys
        if not key.startswith(prefix) and key not in {f'{c}.{p}' for c in classifiers for p in ('weight', 'bias')}
    ]


def _part(layout: KeyLayout, prefix: str, others: Sequence[str]) -> tuple[Part, str]:
    if not others:
        return 'backbone', 'nothing stands beside the backbone but a classifier at most'
    base = base_prefix(layout, prefix)
    heads: tuple[tuple[str, Part, Sequence[str]], ...] = (
        ('detectron2', 'detector', DETECTRON2_HEADS),
        ('mmdet', 'segmentor', MMSEG_HEADS),
        ('mmdet', 'detector', MMDET_HEADS),
        ('official', 'segmentor', ENCODING_HEADS),
    )
    for name, part, modules in heads:
        key = next((k for k in others if k.startswith(tuple(f'{base}{module}.' for module in modules))), None)
        if name == layout.name and key is not None and base != prefix:
            return part, f'{key} is of a {part}'
    return 'model', f'{others[0]} is of no backbone'
