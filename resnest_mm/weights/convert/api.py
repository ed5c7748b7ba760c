"""Choosing the conversion for what a checkpoint holds: a backbone, a detector or a segmentor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from resnest_mm.errors import ConversionError, first_names
from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.convert.detector import convert_detector
from resnest_mm.weights.convert.segmentor import convert_segmentor
from resnest_mm.weights.layouts.detect import detect_layout

PARTS: Final = ('backbone', 'detector', 'segmentor')


@dataclass(frozen=True)
class Conversion:
    """A converted checkpoint.

    Args:
        tensors: Its tensors.
        part: What it holds, one of `PARTS`.
        found: What the source was taken for.
        evidence: What says so.
        dropped: Keys of the source that were left out.
    """

    tensors: dict[str, Tensor]
    part: str
    found: str
    evidence: tuple[str, ...]
    dropped: tuple[str, ...]


def convert(
    tensors: Mapping[str, Tensor],
    *,
    source: str = 'auto',
    target: str = 'mmdet',
    part: str | None = None,
    prefix: str | None = None,
    stock_heads: bool = False,
    dense_offsets: bool | None = None,
) -> Conversion:
    """Convert whatever a checkpoint holds.

    Args:
        tensors: The checkpoint; not modified.
        source: Its layout; 'auto' looks at its keys.
        target: Layout wanted.
        part: What to convert, one of `PARTS`; None converts all.
        prefix: What stands before the keys to convert; the others are left out.
        stock_heads: Of a detector for mmdet: whether its heads are mmdet's own where those differ from the authors'.
        dense_offsets: Whether deformable offsets are to be predicted by mmcv's ungrouped convolutions (True) or by
            grouped ones (False); None leaves them as they are.

    Raises:
        ConversionError: Unknown keys, missing ones, other shapes, or what the layout cannot hold.
    """
    if part is not None and part not in PARTS:
        raise ConversionError(f'part={part!r} is unknown; choose one of {", ".join(PARTS)}')
    inner, dropped = (tensors, []) if prefix is None else _under(tensors, prefix)
    try:
        found = detect_layout(inner)
    except ConversionError:
        if source == 'auto' or part in PARTS[1:]:
            raise
        found = None  # told what it is, the conversion can say what it lacks
    whole = part or (found.part if found and found.part in PARTS else 'backbone')
    if stock_heads and whole != 'detector':
        raise ConversionError(f'stock heads are for detectors, and this is a {whole}')
    if whole == 'detector':
        result = convert_detector(
            inner, source=source, target=target, stock_heads=stock_heads, dense_offsets=dense_offsets, dropped=dropped
        )
    elif whole == 'segmentor':
        result = convert_segmentor(inner, source=source, target=target, dropped=dropped)
    else:
        start = prefix
        if found is not None and (part == 'backbone' or prefix is not None):
            start = f'{_dotted(prefix or "")}{found.prefix}'
        dropped = []
        result = convert_backbone(
            tensors, source=source, target=target, prefix=start, dense_offsets=dense_offsets, dropped=dropped
        )
    return Conversion(
        tensors=result,
        part=whole,
        found=str(found) if found is not None else f'{source} {whole}',
        evidence=found.evidence if found is not None else ('it was said to be that',),
        dropped=tuple(dict.fromkeys(dropped)),
    )


def _under(tensors: Mapping[str, Tensor], prefix: str) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors under a prefix, and the other names."""
    start = _dotted(prefix)
    inner = {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}
    if not inner:
        raise ConversionError(f'no key begins with prefix={start!r}; the first ones are {first_names(sorted(tensors))}')
    return inner, [name for name in tensors if not name.startswith(start)]


def _dotted(prefix: str) -> str:
    return prefix if not prefix or prefix.endswith('.') else f'{prefix}.'
