"""Comparison of the metafiles with the shipped configs and with the records of the released files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from resnest_mm.model_zoo.metafile import Entry
from resnest_mm.paths import list_configs
from resnest_mm.weights.records.lookup import RECORDS


def find_faults(entries: Sequence[Entry]) -> list[str]:
    """Return a line for each fault: a config without entry, or with two; an entry that contradicts a record.

    Args:
        entries: What `read_index` returns.
    """
    shipped = set(list_configs())
    listed = Counter(entry.config for entry in entries)
    faults = [f'{name} is shipped and in no metafile' for name in sorted(shipped - set(listed))]
    faults += [f'{name} is in a metafile and not shipped' for name in sorted(set(listed) - shipped)]
    faults += [f'{name} is listed {count} times' for name, count in sorted(listed.items()) if count > 1]
    names = Counter(entry.name for entry in entries)
    faults += [f'the Name {name} stands for {count} entries' for name, count in sorted(names.items()) if count > 1]
    return [*faults, *(fault for entry in entries for fault in _faults(entry))]


def _faults(entry: Entry) -> Iterator[str]:
    name = entry.config.partition('/')[2].replace('/', '_')
    if entry.name != name:
        yield f'{entry.config}: its Name is {entry.name} and should be {name}'
    has = {'authors': True, 'mmdet': True, 'mmseg': True, 'unpublished': False}.get(entry.group)
    if has is not None and has != bool(entry.results):
        yield f'{entry.config}: an entry of the group {entry.group} has {"results" if has else "none"}'
    if entry.record is None:
        if entry.group in ('authors', 'mmdet', 'mmseg'):
            yield f'{entry.config}: an entry of the group {entry.group} has the Record of the released file'
        return
    record = RECORDS.get(entry.record)
    if record is None:
        yield f'{entry.config}: resnest_mm.weights.records.lookup has no {entry.record}'
        return
    if entry.url not in record.mirrors:
        yield f'{entry.config}: {entry.url} is no URL of {entry.record}; that is {" or ".join(record.mirrors)}'
    if entry.converted != (record.layout != 'mmdet' or record.prefix != 'backbone.'):
        yield f'{entry.config}: {entry.record} has the layout {record.layout}; Converted From is for other layouts'
