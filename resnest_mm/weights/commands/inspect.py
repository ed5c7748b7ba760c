"""Describing a checkpoint file: its layout, its network, and what it can be converted to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from torch import Tensor

from resnest_mm.errors import ConversionError, first_names
from resnest_mm.weights.commands.rows import Row, format_rows
from resnest_mm.weights.convert.api import WHOLE_MODELS, convert
from resnest_mm.weights.convert.architecture import BackboneArchitecture, describe_architecture
from resnest_mm.weights.io.contents import Checkpoint, count_not_finite
from resnest_mm.weights.io.damage import holds_checksums
from resnest_mm.weights.io.hashing import file_digest
from resnest_mm.weights.io.plausible import find_wrong_values
from resnest_mm.weights.io.read import kind_of, read_checkpoint
from resnest_mm.weights.layouts.detect import DetectedLayout, detect_layout
from resnest_mm.weights.layouts.names import COUNTER
from resnest_mm.weights.layouts.tables import LAYOUTS
from resnest_mm.weights.records.lookup import RECORDS

_KINDS: Final = {
    'torch': 'torch.save',
    'pickle': 'pickle of arrays, as of detectron2',
    'npz': 'numpy archive',
    'safetensors': 'safetensors',
}
_STATISTICS: Final = ('.running_mean', '.running_var', COUNTER)
_OPTIMIZER: Final = 'optim'


def inspect_file(path: Path, *, entry: str | None = None, trust: bool = False) -> str:
    """Return a table that describes a checkpoint file.

    Args:
        path: The file.
        entry: Entry of the file that holds the tensors; None finds it.
        trust: As in `read_checkpoint`.

    Raises:
        FileError: If the file cannot be read.
    """
    checkpoint = read_checkpoint(path, trust=trust, entry=entry)
    rows = [('file', f'{path} ({path.stat().st_size / 2**20:.1f} MiB, {_KINDS[kind_of(path)]})')]
    digest = file_digest(path)
    rows.append(('sha256', digest))
    whole = 'right in each part' if holds_checksums(path) else 'none in the file: a changed value would not be noticed'
    rows.append(('checksums', whole))
    rows += _record_rows(digest)
    rows += _content_rows(checkpoint)
    rows += _network_rows(checkpoint.tensors, path)
    return format_rows(rows)


def _record_rows(digest: str) -> Iterator[Row]:
    for record in RECORDS.values():
        if record.digest and 'sha256' in record.algorithms and digest.startswith(record.digest):
            yield 'published', f'as the record {record.name!r}; mean {record.mean}, std {record.std}'


def _content_rows(checkpoint: Checkpoint) -> Iterator[Row]:
    tensors = checkpoint.tensors
    where = f' in the entry {checkpoint.entry!r}' if checkpoint.entry else ''
    parameters = sum(value.numel() for name, value in tensors.items() if not name.endswith(_STATISTICS))
    yield 'tensors', f'{len(tensors)}{where}, {parameters / 1e6:.2f} M parameters'
    types = Counter(str(value.dtype).removeprefix('torch.') for value in tensors.values())
    yield 'dtype', ', '.join(f'{name} x {count}' for name, count in types.most_common())
    wrong = count_not_finite(tensors)
    total = f'{sum(wrong.values())} in {len(wrong)} tensors, e.g. {next(iter(wrong))}' if wrong else 'none'
    yield 'NaN or Inf', total
    yield from (('warning', line) for line in find_wrong_values(tensors))
    optimiser = [name for name in checkpoint.extras if name.startswith(_OPTIMIZER)]
    yield 'optimiser', f'inside: {", ".join(optimiser)}' if optimiser else 'not inside'
    others = [name for name in checkpoint.extras if name not in optimiser]
    if others:
        yield 'also inside', ', '.join(others)
    if checkpoint.skipped:
        yield 'no tensors', first_names(checkpoint.skipped)


def _network_rows(tensors: Mapping[str, Tensor], path: Path) -> Iterator[Row]:
    try:
        found = detect_layout(tensors)
    except ConversionError as error:
        yield 'layout', f'unknown: {error}'
        return
    yield 'layout', str(found)
    yield from (('because', line) for line in found.evidence)
    try:
        own = convert(tensors, source='auto', target='mmdet', part='backbone').tensors
    except ConversionError as error:
        yield 'backbone', f'refused: {error}'
        return
    network = describe_architecture({name: tuple(value.shape) for name, value in own.items()})
    yield 'backbone', str(network)
    yield 'network', _variant(network)
    for layout in LAYOUTS:
        if layout != found.layout.name:
            yield f'to {layout}', _convertible(tensors, layout, found)
    yield from _usage_rows(network, found, path)


def _variant(network: BackboneArchitecture) -> str:
    if not network.variants:
        return 'none of the named ones'
    first, *others = network.variants
    return first + ''.join(
        f', or {name}, which has the same shapes and differs in avd_first, which no checkpoint shows' for name in others
    )


def _convertible(tensors: Mapping[str, Tensor], layout: str, found: DetectedLayout) -> str:
    parts = [found.part, 'backbone'] if found.part in WHOLE_MODELS else ['backbone']
    words = []
    for part in parts:
        try:
            convert(tensors, source='auto', target=layout, part=part)
        except ConversionError as error:
            words.append(f'{part} refused: {error}')
        else:
            words.append(f'{part} yes')
    return '; '.join(words)


def _usage_rows(network: BackboneArchitecture, found: DetectedLayout, path: Path) -> Iterator[Row]:
    file, prefix = path.as_posix(), found.prefix
    if found.layout.name != 'mmdet':
        file, prefix = f'{path.stem}_mmdet.pth', ''
        yield 'to use it', f'python tools/convert_checkpoint.py {path.as_posix()} {file} --part backbone'
    init = f"type='resnest_mm.Pretrained', checkpoint={file!r}" + (f', prefix={prefix!r}' if prefix else '')
    arguments = ', '.join(f'{name}={value!r}' for name, value in network.arguments.items())
    yield 'backbone=', f"dict(type='resnest_mm.ResNeSt', {arguments}, init_cfg=dict({init}))"
    if found.layout.name == 'mmdet' and found.part in WHOLE_MODELS:
        yield 'load_from=', repr(file)
