"""Converting a checkpoint file into another one, with a report on all tensors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from resnest_mm.errors import ConversionError, first_names
from resnest_mm.paths import package_version
from resnest_mm.weights.commands.rows import Row, format_rows
from resnest_mm.weights.convert.api import Conversion, convert
from resnest_mm.weights.io.contents import Checkpoint, FileError
from resnest_mm.weights.io.hashing import file_digest
from resnest_mm.weights.io.plausible import check_values
from resnest_mm.weights.io.read import read_checkpoint
from resnest_mm.weights.io.write import cast, check_target, write_checkpoint
from resnest_mm.weights.layouts.names import COUNTER
from resnest_mm.weights.layouts.tables import find_layout


@dataclass(frozen=True)
class ConversionReport:
    """What became of the tensors of a file.

    Args:
        rows: Pairs of a word and a text, in the order to print them.
    """

    rows: tuple[Row, ...]

    def __str__(self) -> str:
        """Return the rows as a table."""
        return format_rows(self.rows)


def convert_file(
    source: Path,
    target: Path,
    *,
    source_layout: str = 'auto',
    target_layout: str = 'mmdet',
    part: str | None = None,
    prefix: str | None = None,
    entry: str | None = None,
    dtype: str | None = None,
    stock_heads: bool = False,
    dense_offsets: bool | None = None,
    trust: bool = False,
    force: bool = False,
    dry_run: bool = False,
) -> ConversionReport:
    """Convert a checkpoint file, whole or not at all.

    Args:
        source: File to read, see `read_checkpoint`.
        target: File to write, see `write_checkpoint`.
        source_layout: As `source` of `convert`.
        target_layout: As `target` of `convert`.
        part: As in `convert`.
        prefix: As in `convert`.
        entry: Entry of the source that holds the tensors; None finds it.
        dtype: Precision to write, a key of `resnest_mm.weights.io.write.DTYPES`; None keeps that of the source.
        stock_heads: As in `convert`.
        dense_offsets: As in `convert`.
        trust: As in `read_checkpoint`.
        force: Whether to replace the target where it exists.
        dry_run: Whether to do everything except for writing the target.

    Raises:
        CheckpointError: If the source cannot be read or converted or has wrong values, see `find_wrong_values`, or if
            the target cannot be written.
    """
    check_target(target, force=force)
    checkpoint = read_checkpoint(source, trust=trust, entry=entry)
    try:
        layout = find_layout(target_layout)
        done = convert(
            checkpoint.tensors,
            source=source_layout,
            target=target_layout,
            part=part,
            prefix=prefix,
            stock_heads=stock_heads,
            dense_offsets=dense_offsets,
        )
    except ConversionError as error:
        raise FileError(f'{source}: {error}') from error
    check_values(done.tensors, source=str(source), advice='convert another one')
    tensors = cast(done.tensors, dtype) if dtype else done.tensors
    source_hash = file_digest(source)
    rows = [
        ('source', f'{source} (sha256 {source_hash})'),
        *_tensor_rows(checkpoint, done),
        ('target', f'{target} ({layout.title}{f", {dtype}" if dtype else ""})'),
    ]
    if dry_run:
        return ConversionReport((*rows, ('written', f'nothing (--dry-run); it would be {len(tensors)} tensors')))
    digest = write_checkpoint(
        target,
        tensors,
        entry=layout.entry,
        meta={
            'resnest_mm_version': package_version(),
            'source': source.name,
            'source_sha256': source_hash,
            'layout': layout.name,
            'part': done.part,
        },
        force=force,
    )
    return ConversionReport((*rows, ('written', f'{len(tensors)} tensors'), ('sha256', digest)))


def _tensor_rows(checkpoint: Checkpoint, done: Conversion) -> list[Row]:
    read, dropped = len(checkpoint.tensors), done.dropped
    rows = [('layout', done.found), *(('because', line) for line in done.evidence)]
    rows += [('read', f'{read} tensors'), ('mapped', f'{read - len(dropped)} tensors')]
    rows.append(('dropped', f'{len(dropped)} tensors: {first_names(dropped)}' if dropped else 'none'))
    lost = _count_counters(checkpoint.tensors) - _count_counters(done.tensors) - _count_counters(dropped)
    if lost > 0:
        rows.append(('no place', f'{lost} {COUNTER}, which the target layout does not have'))
    if checkpoint.skipped:
        rows.append(('no tensors', first_names(checkpoint.skipped)))
    if checkpoint.extras:
        rows.append(('left out', f'the entries {first_names(checkpoint.extras)}'))
    return rows


def _count_counters(keys: Iterable[str]) -> int:
    return sum(key.endswith(COUNTER) for key in keys)
