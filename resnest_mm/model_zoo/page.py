"""The page `docs/model_zoo.md`, written from the metafiles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from resnest_mm.model_zoo.metafile import Entry, Result
from resnest_mm.weights.records.lookup import RECORDS

_HEAD: Final = """\
# Model zoo

This page lists every shipped config, its published or measured results, and the released file that fits it.
`python tools/model_zoo.py` writes it from `model-index.yml` and the `metafile.yml` files next to the configs. Change
those files, not this page.

Results are in per cent. Each section says who measured them; results of others were not measured again here. A training
of `90,000 x 16` has 90,000 iterations of 16 images. Parameters are those of the whole model, with auxiliary heads."""
_CONVERSION: Final = (
    'The released files have another key layout.{packed} These commands convert them for the config; then run '
    '`tools/test.py CONFIG FILE`. They were tried on tensors with the keys and shapes of the released files, because '
    'the files themselves could not be downloaded:'
)
_PACKED: Final = ' Each is inside a `.zip`; unpack it first.'


@dataclass(frozen=True)
class _Section:
    title: str
    group: str
    folder: str
    text: str = ''


_SECTIONS: Final = (
    _Section("The authors' detectors", 'authors', 'detection/'),
    _Section(
        "The authors' segmentors",
        'authors',
        'segmentation/',
        '`tools/test.py CONFIG FILE --tta` tests in this way; without the option each image is tested once.',
    ),
    _Section(
        "mmdet's detectors",
        'mmdet',
        'detection/',
        "The configs are mmdet's, with this backbone. mmdet's files load without conversion.",
    ),
    _Section(
        "mmseg's segmentors",
        'mmseg',
        'segmentation/',
        "The configs are mmseg's recipes, with the backbone as mmseg builds it. mmseg's files load without conversion.",
    ),
    _Section('Measured here', 'measured', ''),
    _Section(
        'Without a published number', 'unpublished', '', 'No results have been published, and none were measured here.'
    ),
)


def render(entries: Sequence[Entry]) -> str:
    """Return the page, in Markdown.

    Args:
        entries: What `read_index` returns; those of a group stand in the order given.
    """
    notes: list[str] = []
    blocks = [_HEAD]
    for section in _SECTIONS:
        chosen = [each for each in entries if each.group == section.group and each.config.startswith(section.folder)]
        if chosen:
            blocks += [f'## {section.title}', *_section(section, chosen, notes)]
    if notes:
        blocks += ['## Notes', '\n'.join(f'{number}. {note}' for number, note in enumerate(notes, 1))]
    return '\n\n'.join(blocks) + '\n'


def first_difference(page: str, wanted: str) -> str | None:
    """Return where a page is not what it should be, in two lines; None where it is.

    Args:
        page: The page as it is.
        wanted: The page as it should be.
    """
    pairs = zip_longest(page.splitlines(keepends=True), wanted.splitlines(keepends=True))
    for number, (given, right) in enumerate(pairs, 1):
        if given != right:
            is_, should = ('nothing' if line is None else repr(line.rstrip('\n')) for line in (given, right))
            return f'line {number} is {is_}\nand should be {should}'
    return None


def _section(section: _Section, entries: Sequence[Entry], notes: list[str]) -> Iterator[str]:
    sources = list(dict.fromkeys(result.source for entry in entries for result in entry.results))
    first = f'Measured by {sources[0]}. ' if len(sources) == 1 else ''
    if text := f'{first}{section.text}'.strip():
        yield text
    columns = {
        'config': [f'[`{entry.config.rpartition("/")[2]}`](../configs/{entry.config}.py)' for entry in entries],
        'network': [', '.join((entry.collection, *entry.architecture)) for entry in entries],
        'parameters': [f'{entry.parameters / 1e6:.2f} M' for entry in entries],
        'training': [_training(entry) for entry in entries],
        'result': [_results(entry) for entry in entries],
        'measured by': [_sources(entry) if len(sources) > 1 else '' for entry in entries],
        'took': ['; '.join(_costs(entry)) for entry in entries],
        'released file': [f'[`{entry.record}`]({entry.url})' if entry.record else '' for entry in entries],
        'notes': [_noted(entry, notes) for entry in entries],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    rows = [[*shown], ['---'] * len(shown), *(list(row) for row in zip(*shown.values(), strict=True))]
    yield '\n'.join(re.sub(' +', ' ', f'| {" | ".join(row)} |') for row in rows)
    if section.group == 'measured' and not any('Training Memory (GB)' in entry.costs for entry in entries):
        yield 'Memory was not measured.'
    records = [RECORDS[entry.record] for entry in entries if entry.record]
    for note in dict.fromkeys(record.note for record in records if record.note):
        yield f'About the released files: {note}'
    if commands := [_command(entry) for entry in entries if entry.converted]:
        yield _CONVERSION.format(packed=_PACKED if _packed(entries) else '')
        yield '\n'.join(f'    {command}' for command in commands)


def _training(entry: Entry) -> str:
    unit, count = entry.length
    length = f'{int(count):,}' if unit == 'Iterations' else f'{count} {unit.lower()}'
    return f'{entry.data}, {length} x {entry.batch_size}'


def _results(entry: Entry) -> str:
    by_dataset: dict[str, list[str]] = {}
    for result in entry.results:
        by_dataset.setdefault(result.dataset, []).extend(_numbers(result))
    told = '; '.join(f'{dataset}: {", ".join(numbers)}' for dataset, numbers in by_dataset.items())
    return told or ('not measured yet' if entry.group == 'measured' else '')


def _numbers(result: Result) -> Iterator[str]:
    for name, value in result.metrics.items():
        yield f'{name} {value}'


def _sources(entry: Entry) -> str:
    return '; '.join(dict.fromkeys(result.source for result in entry.results))


def _costs(entry: Entry) -> Iterator[str]:
    units = {'Iteration Time': ' an iteration', 'Training Memory (GB)': ' GB'}
    for name, value in entry.costs.items():
        yield f'{value}{units.get(name, "")}'


def _noted(entry: Entry, notes: list[str]) -> str:
    notes += [text for text in entry.deviations if text not in notes]
    numbers = ', '.join(str(notes.index(text) + 1) for text in entry.deviations)
    return '; '.join(part for part in (numbers, entry.note) if part)


def _packed(entries: Sequence[Entry]) -> bool:
    return any(entry.url is not None and entry.url.endswith('.zip') for entry in entries)


def _command(entry: Entry) -> str:
    assert entry.record is not None, 'the metafile states what is converted'
    target = f'{entry.config.rpartition("/")[2]}.pth'
    return f'python tools/convert_checkpoint.py {RECORDS[entry.record].file_name} {target}'
