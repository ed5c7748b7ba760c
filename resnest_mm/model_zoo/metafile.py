"""Reading the metafiles: for every shipped config its network, its results with their source, and its released file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from resnest_mm.errors import UserError, one_line

RESULT_GROUPS: Final = ('authors', 'mmdet', 'mmseg', 'measured', 'unpublished')
"""Who measured the results of a config: the paper's authors, a host, this project, or nobody."""

_NEEDED: Final = ('Name', 'In Collection', 'Config', 'Group', 'Metadata')
_KEYS: Final = (*_NEEDED, 'Results', 'Record', 'Weights', 'Converted From', 'Deviations', 'Note')
_METADATA: Final = ('Architecture', 'Training Data', 'Batch Size', 'Parameters')
_LENGTHS: Final = ('Iterations', 'Epochs')
_COSTS: Final = ('Training Resources', 'Training Time', 'Iteration Time', 'Training Memory (GB)')
_RESULT: Final = ('Task', 'Dataset', 'Metrics', 'Source')


@dataclass(frozen=True)
class Result:
    """A measurement on one data set.

    Args:
        task: Such as 'Object Detection'.
        dataset: Data set and split.
        metrics: Values in per cent by name, as text with the published digits.
        source: Who measured it.
    """

    task: str
    dataset: str
    metrics: Mapping[str, str]
    source: str


@dataclass(frozen=True)
class Entry:
    """The entry of one config.

    Args:
        name: Unique name, for `mim`.
        collection: Kind of detector or segmentor.
        config: Name of the config, as `resnest_mm.config_path` takes it.
        group: One of `RESULT_GROUPS`.
        architecture: The backbone, and whatever else distinguishes the network from others of its kind.
        data: Training data.
        length: Unit and length of the training, such as ('Iterations', '90000').
        batch_size: Images in a step of the optimiser, on all devices.
        parameters: Number of parameters of the whole model, with auxiliary heads.
        costs: Measured times and memory of a training in this project, by name; may be empty.
        results: The measurements.
        record: Name of the released file in `resnest_mm.weights.records.lookup.RECORDS`; None if there is none.
        url: URL at which that file was published; None if there is none.
        converted: Whether the released file has to be converted for the config.
        deviations: Differences between the config and the training that gave the results.
        note: Anything else that a user should know; may be empty.
    """

    name: str
    collection: str
    config: str
    group: str
    architecture: tuple[str, ...]
    data: str
    length: tuple[str, str]
    batch_size: str
    parameters: int
    costs: Mapping[str, str]
    results: tuple[Result, ...]
    record: str | None
    url: str | None
    converted: bool
    deviations: tuple[str, ...]
    note: str


def read_index(path: Path) -> tuple[Entry, ...]:
    """Return the entries of all metafiles that an index imports, in its order.

    Args:
        path: `model-index.yml`.

    Raises:
        UserError: A file is missing or no YAML, or an entry lacks a key, has an unknown key, or has a number without a
            source; the message names the file and the entry.
    """
    index = _load(path)
    collections = {_text(each, 'Name', f'{path}: a collection') for each in _list(index, 'Collections', str(path))}
    entries: list[Entry] = []
    for name in _list(index, 'Import', str(path)):
        file = path.parent / str(name)
        for raw in _list(_load(file), 'Models', str(file)):
            entries.append(_entry(raw, collections, str(file)))
    return tuple(entries)


def _load(path: Path) -> Mapping[str, Any]:
    try:
        # BaseLoader keeps every scalar as text, so that a published 12.30 does not become 12.3
        content = yaml.load(path.read_text(encoding='utf-8'), Loader=yaml.BaseLoader)
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror}') from error
    except yaml.YAMLError as error:
        raise UserError(f'{path} is no YAML: {one_line(error)}') from error
    if not isinstance(content, dict):
        raise UserError(f'{path} holds no mapping; it starts with Import: or Models:')
    return content


def _entry(raw: Any, collections: set[str], file: str) -> Entry:
    where = f'{file}: {raw.get("Name") if isinstance(raw, dict) else raw}'
    _check_keys(raw, where, needed=_NEEDED, known=_KEYS)
    metadata = raw['Metadata']
    _check_keys(metadata, f'{where}: Metadata', needed=_METADATA, known=(*_METADATA, *_LENGTHS, *_COSTS))
    lengths = [(key, _text(metadata, key, where)) for key in _LENGTHS if key in metadata]
    if len(lengths) != 1:
        raise UserError(f'{where}: Metadata has {len(lengths)} of {" and ".join(_LENGTHS)}; state one')
    if not re.fullmatch('[0-9]+', _text(metadata, 'Parameters', where)):
        raise UserError(f'{where}: Parameters={metadata["Parameters"]!r} must be a whole number')
    if raw['In Collection'] not in collections:
        raise UserError(f'{where}: In Collection={raw["In Collection"]!r} is none of {", ".join(sorted(collections))}')
    if raw['Group'] not in RESULT_GROUPS:
        raise UserError(f'{where}: Group={raw["Group"]!r} must be one of {", ".join(RESULT_GROUPS)}')
    config = re.fullmatch(r'configs/(.+)\.py', _text(raw, 'Config', where))
    if config is None:
        raise UserError(f'{where}: Config={raw["Config"]!r} must be a path such as configs/detection/NAME.py')
    converted = raw.get('Converted From')
    if converted is not None:
        _check_keys(converted, f'{where}: Converted From', needed=('Weights',), known=('Weights',))
    urls = [each['Weights'] for each in (raw, converted or {}) if 'Weights' in each]
    if len(urls) != ('Record' in raw):
        raise UserError(f'{where}: a Record goes with one URL, under Weights or, to be converted, under Converted From')
    return Entry(
        name=_text(raw, 'Name', where),
        collection=raw['In Collection'],
        config=config[1],
        group=raw['Group'],
        architecture=tuple(map(str, _list(metadata, 'Architecture', where))),
        data=_text(metadata, 'Training Data', where),
        length=lengths[0],
        batch_size=_text(metadata, 'Batch Size', where),
        parameters=int(metadata['Parameters']),
        costs={key: _text(metadata, key, where) for key in _COSTS if key in metadata},
        results=tuple(_results(raw, where)),
        record=raw.get('Record'),
        url=urls[0] if urls else None,
        converted=converted is not None,
        deviations=tuple(map(str, _list(raw, 'Deviations', where))) if 'Deviations' in raw else (),
        note=_text(raw, 'Note', where) if 'Note' in raw else '',
    )


def _results(raw: Mapping[str, Any], where: str) -> Iterator[Result]:
    for result in _list(raw, 'Results', where) if 'Results' in raw else ():
        _check_keys(result, f'{where}: Results', needed=_RESULT, known=_RESULT)
        metrics = result['Metrics']
        _check_keys(metrics, f'{where}: Metrics', needed=(), known=tuple(metrics))
        for name, value in metrics.items():
            if not re.fullmatch(r'\d{1,2}(\.\d+)?', str(value)):
                raise UserError(f'{where}: {name}={value!r} must be a number in per cent such as 12.34')
        yield Result(
            task=_text(result, 'Task', where),
            dataset=_text(result, 'Dataset', where),
            metrics=dict(metrics),
            source=_text(result, 'Source', where),
        )


def _check_keys(raw: Any, where: str, *, needed: Sequence[str], known: Sequence[str]) -> None:
    if not isinstance(raw, dict) or not raw:
        raise UserError(f'{where} must be a mapping with entries')
    if missing := [key for key in needed if key not in raw]:
        raise UserError(f'{where} lacks {", ".join(missing)}')
    if unknown := [key for key in raw if key not in known]:
        raise UserError(f'{where} has the unknown key {unknown[0]!r}; known are {", ".join(known)}')


def _text(raw: Mapping[str, Any], key: str, where: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value:
        raise UserError(f'{where}: {key}={value!r} must be text')
    return value


def _list(raw: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = raw.get(key)
    if not isinstance(value, list) or not value:
        raise UserError(f'{where}: {key}={value!r} must be a list with entries')
    return value
