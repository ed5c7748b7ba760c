"""All published weight files by name, and the record of a config's `checkpoint`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from resnest_mm.weights.records.detectors import detector_records
from resnest_mm.weights.records.imagenet import imagenet_records
from resnest_mm.weights.records.record import Record
from resnest_mm.weights.records.segmentors import segmentor_records

RECORDS: Final[Mapping[str, Record]] = MappingProxyType(
    {record.name: record for record in (*imagenet_records(), *detector_records(), *segmentor_records())}
)
"""The records of the published files by name; `resnest50` and the like are the authors' own."""

_SCHEMES: Final = (('open-mmlab://', 'open-mmlab/'), ('openmmlab://', 'open-mmlab/'), ('mmcls://', 'mmcls/'))
_BY_URL: Final[Mapping[str, Record]] = MappingProxyType(
    {url: record for record in reversed(tuple(RECORDS.values())) for url in record.mirrors}
)
_added: dict[str, Record] = {}


def find_record(checkpoint: str) -> Record | None:
    """Return the record of a checkpoint; None if it is no published file.

    Args:
        checkpoint: Name of a record, its name in a scheme of mmengine, such as `open-mmlab://resnest50`, or one of its
            URLs.
    """
    name = checkpoint
    for scheme, family in _SCHEMES:
        if checkpoint.startswith(scheme):
            name = family + checkpoint[len(scheme) :]
    return _added.get(name) or RECORDS.get(name) or _BY_URL.get(checkpoint)


def add_record(record: Record) -> None:
    """Add a record of your own weights, so that a config can name them.

    Args:
        record: The record. Its name must be new, unless an equal record has it.

    Raises:
        ValueError: If another record has this name.
    """
    known = _added.get(record.name) or RECORDS.get(record.name)
    if known is not None and known != record:
        raise ValueError(f'the name {record.name!r} is taken by {known.file_name}; give {record.file_name} another one')
    _added[record.name] = record


def nearest_names(name: str, *, count: int = 3) -> list[str]:
    """Return the names of records that are similar to a misspelt one, the most similar first.

    Args:
        name: The misspelt name.
        count: Maximum number of names, at least 1.
    """
    return difflib.get_close_matches(name, [*_added, *RECORDS], n=count)
