"""A draft of the record of a published file, for pasting into `resnest_mm/weights/records`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from resnest_mm.errors import ConversionError
from resnest_mm.weights.commands.publish import Publication
from resnest_mm.weights.convert.api import convert
from resnest_mm.weights.convert.architecture import describe_architecture
from resnest_mm.weights.layouts.detect import detect_layout
from resnest_mm.weights.records.record import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    PUBLISHED_LAYOUTS,
    PUBLISHED_PARTS,
    Triple,
)


def draft_record(published: Publication) -> str:
    """Return a `Record` of a published file as source code, or a comment with the reason why there is none.

    Args:
        published: The published file.
    """
    tensors = published.checkpoint.tensors
    try:
        found = detect_layout(tensors)
        own = convert(tensors, source='auto', target='mmdet', part='backbone').tensors
    except ConversionError as error:
        return f'# no record: {error}'
    variants = describe_architecture({name: tuple(value.shape) for name, value in own.items()}).variants
    if not variants:
        return '# no record: the backbone is none of the named networks'
    if found.layout.name not in PUBLISHED_LAYOUTS or found.part not in PUBLISHED_PARTS:
        return f'# no record: there are none of a {found.part} in the {found.layout.title}; convert it first'
    mean, std = normalisation(published.meta)
    fields: dict[str, object] = {
        'name': published.path.stem.rpartition('-')[0],
        'file_name': published.path.name,
        'mirrors': (),
        'variant': variants[0],
        'layout': found.layout.name,
        'part': found.part,
        'prefix': found.prefix,
        'digest': published.sha256,
        'mean': mean,
        'std': std,
    }
    lines = ''.join(f'    {name}={value!r},\n' for name, value in fields.items())
    notes = ['fill in mirrors, licence and metrics']
    if 'cfg' not in published.meta:
        notes.append('check mean and std: the file has no config with them')
    if len(variants) > 1:
        notes.append(f'check variant: {", ".join(variants)} have the same shapes')
    return f'Record(\n{lines})  # {"; ".join(notes)}'


def normalisation(meta: Mapping[str, Any]) -> tuple[Triple, Triple]:
    """Return the mean and the standard deviation in the config that mmengine saves in a checkpoint.

    The config is searched as text, because running it would run any code that the checkpoint's writer put into it.

    Args:
        meta: The `meta` of the checkpoint.

    Returns:
        The first ones in the config, or those of ImageNet where there are none.
    """
    text = meta.get('cfg')
    return _triple('mean', text) or IMAGENET_MEAN, _triple('std', text) or IMAGENET_STD


def _triple(name: str, text: object) -> Triple | None:
    found = re.search(rf'\b{name}=[\[(]([^\])]{{1,200}})[\])]', text) if isinstance(text, str) else None
    try:
        values = [float(value) for value in found[1].split(',') if value.strip()] if found else []
    except ValueError:
        return None
    if len(values) != 3 or not all(map(math.isfinite, values)):
        return None
    return values[0], values[1], values[2]
