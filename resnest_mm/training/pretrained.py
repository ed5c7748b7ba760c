"""The pretrained weights that a model's config asks for, and having them before anything is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from resnest_mm.training.config.walk import type_name
from resnest_mm.weights.hub.cache import fetch
from resnest_mm.weights.records.lookup import find_record
from resnest_mm.weights.records.record import Record


@dataclass(frozen=True)
class PretrainedEntry:
    """An entry of a config that names known weights.

    Args:
        key: Dotted key of the entry.
        record: The weights.
        preprocessor_key: Dotted key of the data preprocessor that feeds them.
        preprocessor: That preprocessor's config, the innermost where one wraps another; empty where there is none.
    """

    key: str
    record: Record
    preprocessor_key: str
    preprocessor: Mapping[str, Any]


def iter_pretrained(cfg: Config) -> Iterator[PretrainedEntry]:
    """Yield the entries of a config's model that name weights of which there is a record.

    Args:
        cfg: Parsed config; left unchanged.
    """
    outermost = cfg.get('data_preprocessor') or {}
    yield from _walk(cfg.get('model'), 'model', 'data_preprocessor', outermost)


def fetch_pretrained(cfg: Config) -> None:
    """Download the files of all published weights in a config's model, if this machine does not have them.

    Args:
        cfg: Parsed config; left unchanged.

    Raises:
        CheckpointError: On the first that cannot be found, with every place tried.
    """
    for record in {entry.record.name: entry.record for entry in iter_pretrained(cfg)}.values():
        fetch(record)


def checkpoint_key(node: Mapping[str, Any]) -> str:
    """Return the key under which a config entry of this type would name a checkpoint."""
    return 'checkpoint' if type_name(node) in ('Pretrained', 'PretrainedInit') else 'pretrained'


def _walk(node: Any, key: str, preprocessor_key: str, preprocessor: Any) -> Iterator[PretrainedEntry]:
    if isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _walk(value, f'{key}.{index}', preprocessor_key, preprocessor)
    if not isinstance(node, dict):
        return
    if isinstance(node.get('data_preprocessor'), dict):
        preprocessor_key, preprocessor = f'{key}.data_preprocessor', node['data_preprocessor']
        while isinstance(preprocessor.get('data_preprocessor'), dict):
            preprocessor_key, preprocessor = f'{preprocessor_key}.data_preprocessor', preprocessor['data_preprocessor']
    name = checkpoint_key(node)
    record = find_record(node[name]) if isinstance(node.get(name), str) else None
    if record is not None:
        yield PretrainedEntry(f'{key}.{name}', record, preprocessor_key, preprocessor)
    for inner, value in node.items():
        if inner != 'data_preprocessor':
            yield from _walk(value, f'{key}.{inner}', preprocessor_key, preprocessor)
