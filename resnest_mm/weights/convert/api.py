"""Converting a checkpoint to another key layout, whatever it holds: a backbone, a detector or a segmentor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from resnest_mm.errors import ConversionError, first_names
from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.convert.detector import convert_detector
from resnest_mm.weights.convert.segmentor import convert_segmentor
from resnest_mm.weights.convert.tensors import Value, as_tensors
from resnest_mm.weights.layouts.detect import DetectedLayout, detect_layout
from resnest_mm.weights.layouts.names import with_dot

WHOLE_MODELS: Final = ('detector', 'segmentor')
PARTS: Final = ('backbone', *WHOLE_MODELS)


@dataclass(frozen=True)
class Conversion:
    """A converted checkpoint.

    Args:
        tensors: Its tensors by name.
        part: What it holds, one of `PARTS`.
        found: Layout and part of the source, and the prefix of its backbone, in words.
        evidence: How they were detected, one line each.
        dropped: Keys of the source that were left out.
    """

    tensors: dict[str, Tensor]
    part: str
    found: str
    evidence: tuple[str, ...]
    dropped: tuple[str, ...]


def convert(
    state: Mapping[str, Value],
    *,
    source: str = 'auto',
    target: str = 'mmdet',
    part: str | None = None,
    prefix: str | None = None,
    stock_heads: bool = False,
    dense_offsets: bool | None = None,
) -> Conversion:
    """Convert a checkpoint to another key layout, complete or not at all.

    Args:
        state: Tensors or numpy arrays by name, also inside a dict such as `{'state_dict': ...}`. Not modified.
        source: Layout of `state`, a name or an alias in `resnest_mm.weights.layouts.tables`; 'auto' detects it from
            the keys.
        target: Layout of the result.
        part: What to convert, one of `PARTS`; None converts everything.
        prefix: Prefix of the keys to convert; the others are left out.
        stock_heads: As in `convert_detector`.
        dense_offsets: As in `convert_backbone`.

    Raises:
        ConversionError: If keys are unknown or missing, have another shape, or have no equal in the target layout.

    Example:
        >>> import torch
        >>> from resnest_mm import ResNeSt
        >>> from resnest_mm.weights.convert.api import convert
        >>> own = ResNeSt(14, stem_channels=8, base_channels=16).state_dict()
        >>> official = convert(own, target='official').tensors
        >>> next(iter(official))
        'conv1.0.weight'
        >>> back = convert(official, target='mmdet')
        >>> back.found
        'official backbone'
        >>> torch.equal(back.tensors['stem.0.weight'], own['stem.0.weight'])
        True
    """
    if part is not None and part not in PARTS:
        raise ConversionError(f'part={part!r} is unknown; choose one of {", ".join(PARTS)}')
    dropped: list[str] = []
    tensors = as_tensors(state, dropped=dropped)
    start = with_dot(prefix or '')
    inner = {key[len(start) :]: value for key, value in tensors.items() if key.startswith(start)}
    if not inner:
        raise ConversionError(f'no key begins with prefix={start!r}; the first ones are {first_names(sorted(tensors))}')
    found = _detect(inner, required=source == 'auto' or part in WHOLE_MODELS)
    to_convert = part or (found.part if found and found.part in PARTS else 'backbone')
    if stock_heads and to_convert != 'detector':
        raise ConversionError(f'stock heads are for detectors, and this is a {to_convert}')
    if to_convert in WHOLE_MODELS:
        dropped += [key for key in tensors if not key.startswith(start)]
    if to_convert == 'detector':
        result = convert_detector(
            inner, source=source, target=target, stock_heads=stock_heads, dense_offsets=dense_offsets, dropped=dropped
        )
    elif to_convert == 'segmentor':
        result = convert_segmentor(inner, source=source, target=target, dropped=dropped)
    else:
        # All tensors and not the inner ones, because the classifier may be outside the prefix.
        inside = prefix
        if found is not None and (part == 'backbone' or prefix is not None):
            inside = f'{start}{found.prefix}'
        result = convert_backbone(
            tensors, source=source, target=target, prefix=inside, dense_offsets=dense_offsets, dropped=dropped
        )
    return Conversion(
        tensors=result,
        part=to_convert,
        found=f'{source} {to_convert}' if found is None else str(found),
        evidence=(f'the source was named as {source}',) if found is None else found.evidence,
        dropped=tuple(dict.fromkeys(dropped)),
    )


def _detect(tensors: Mapping[str, Tensor], *, required: bool) -> DetectedLayout | None:
    """Return what was detected; None where it is not required, because the conversion then says which keys miss."""
    try:
        return detect_layout(tensors)
    except ConversionError:
        if required:
            raise
        return None
