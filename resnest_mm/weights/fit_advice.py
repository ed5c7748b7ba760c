"""What to do with a checkpoint that does not fill a whole model: the command that converts it, where there is one."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from resnest_mm.errors import ConversionError
from resnest_mm.weights.convert.api import WHOLE_MODELS, convert
from resnest_mm.weights.convert.tensors import Shape
from resnest_mm.weights.layouts.detect import DetectedLayout, detect_layout
from resnest_mm.weights.layouts.names import COUNTER
from resnest_mm.weights.layouts.tables import OWN


def advise(tensors: Mapping[str, Tensor], own: Mapping[str, Shape], *, file: Path, entry: str | None) -> str | None:
    """Return what to do to fill a model with a checkpoint, None where nothing is known.

    Args:
        tensors: The tensors of the checkpoint by name.
        own: The shape of each tensor of the model by name.
        file: The checkpoint.
        entry: The entry of the file that holds the tensors; None: the file itself.
    """
    try:
        found = detect_layout(tensors)
    except ConversionError:
        return _other_entry(file, entry)
    whole = found.part in WHOLE_MODELS
    if found.layout.name == OWN.name and (whole or found.part == 'model'):
        return _other_entry(file, entry)
    if not whole:
        return _as_backbone(found, file)
    options = _best_options(tensors, own, found)
    if options is None:
        return f'it is a {found.part} in the {found.layout.title}, which cannot be converted as a whole'
    flags = ''.join(f' {flag}' for flag in options)
    return f'it is a {found.part} in the {found.layout.title}; convert it first: {_command(file)}{flags}'


def _as_backbone(found: DetectedLayout, file: Path) -> str:
    converted, first = file, ''
    if found.layout.name != OWN.name:
        converted, first = _converted(file), f'convert it first: {_command(file)} --part backbone; then '
    prefix = f', prefix={found.prefix!r}' if found.prefix and converted is file else ''
    init = f"dict(type='resnest_mm.Pretrained', checkpoint={converted.as_posix()!r}{prefix})"
    return f'it holds a backbone in the {found.layout.title}; {first}name it in model.backbone.init_cfg={init}'


def _best_options(tensors: Mapping[str, Tensor], own: Mapping[str, Shape], found: DetectedLayout) -> list[str] | None:
    """Return the options of the conversion whose result fits the model best; None where none is possible."""
    best: tuple[int, list[str]] | None = None
    for arguments, flags in _conversions(tensors, found):
        try:
            result = convert(tensors, **arguments).tensors
        except ConversionError:
            continue
        shapes = {key: tuple(value.shape) for key, value in result.items() if not key.endswith(COUNTER)}
        wanted = {key: shape for key, shape in own.items() if not key.endswith(COUNTER)}
        misfits = len(shapes.items() ^ wanted.items())
        if best is None or misfits < best[0]:
            best = misfits, flags
    return best[1] if best else None


def _conversions(tensors: Mapping[str, Tensor], found: DetectedLayout) -> Iterator[tuple[dict[str, Any], list[str]]]:
    stocks = (False, True) if found.part == 'detector' else (False,)
    offsets = (None, False, True) if any('offset' in key for key in tensors) else (None,)
    for stock in stocks:
        for dense in offsets:
            flags = ['--stock-heads'] if stock else []
            if dense is not None:
                flags.append(f'--offsets {"dense" if dense else "grouped"}')
            yield {'stock_heads': stock, 'dense_offsets': dense}, flags


def _other_entry(file: Path, entry: str | None) -> str | None:
    if entry is None or entry == 'state_dict':
        return None
    inner = ''.join(f'[{name!r}]' for name in entry.split('.'))
    return (
        f'its tensors are in the entry {entry!r}, where mmengine does not look; save them alone: '
        f"torch.save({{'state_dict': torch.load({file.as_posix()!r}){inner}}}, {_converted(file).name!r})"
    )


def _command(file: Path) -> str:
    return shlex.join(['python', 'tools/convert_checkpoint.py', str(file), _converted(file).name])


def _converted(file: Path) -> Path:
    return Path(f'{file.stem}_{OWN.name}.pth')
