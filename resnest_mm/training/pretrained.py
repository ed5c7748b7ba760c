"""The pretrained weights that a model's config names: finding, checking and downloading them before the model is built.

cfg.model -> find_pretrained -> entries -> check_pretrained       the local files exist and can be read
                                       -> fetch_pretrained       the files of others are on this machine
                                       -> preprocessing_notes    the images are normalised as the weights need it
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from resnest_mm.training.checks.checkpoints import check_checkpoint, is_remote
from resnest_mm.training.config.walk import is_own, type_name
from resnest_mm.weights.hub.cache import fetch
from resnest_mm.weights.hub.local import local_copy
from resnest_mm.weights.records.lookup import find_record
from resnest_mm.weights.records.record import Record


@dataclass(frozen=True)
class PretrainedEntry:
    """An entry of a model's config that names pretrained weights.

    Args:
        key: Dotted key of the entry.
        checkpoint: Its value: a published name, a path or a URL.
        record: The published file that it means; None for any other file.
        is_own: Whether this package loads the file: the entry belongs to one of its backbones or is its initialiser.
        preprocessor_key: Dotted key of the data preprocessor that normalises the images for these weights.
        preprocessor: Config of this preprocessor, of the innermost where one contains another; empty without one.
    """

    key: str
    checkpoint: str
    record: Record | None
    is_own: bool
    preprocessor_key: str
    preprocessor: Mapping[str, Any]


def find_pretrained(cfg: Config) -> tuple[PretrainedEntry, ...]:
    """Return every entry of a config's model that names pretrained weights.

    These are `checkpoint` of an initialiser `Pretrained`, and `pretrained` anywhere else.

    Args:
        cfg: Parsed config; left unchanged.
    """
    preprocessor = cfg.get('data_preprocessor') or {}
    return tuple(_walk(cfg.get('model'), 'model', None, 'data_preprocessor', preprocessor))


def check_pretrained(entries: Iterable[PretrainedEntry]) -> None:
    """Refuse local files that are missing or cannot be read, before anything is built.

    Args:
        entries: From `find_pretrained`. Those with a record are left to `fetch_pretrained`.

    Raises:
        UserError: On the first such file, with its key.
    """
    for entry in entries:
        if entry.record is None:
            check_checkpoint(entry.checkpoint, source=entry.key, by_mmengine=not entry.is_own)


def fetch_pretrained(entries: Iterable[PretrainedEntry]) -> None:
    """Download the files that this package loads and that are not on this machine yet.

    Args:
        entries: From `find_pretrained`.

    Raises:
        CheckpointError: On the first file that cannot be found, with every place tried.
    """
    for name in dict.fromkeys(entry.checkpoint for entry in entries if entry.record is None and entry.is_own):
        if is_remote(name):
            with local_copy(name):
                pass
    for record in {entry.record.name: entry.record for entry in entries if entry.record is not None}.values():
        fetch(record)


def _walk(
    node: Any, key: str, owner: Any, preprocessor_key: str, preprocessor: Mapping[str, Any]
) -> Iterator[PretrainedEntry]:
    """Yield the entries in a node; `owner` is the mapping around it."""
    if isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _walk(value, f'{key}.{index}', owner, preprocessor_key, preprocessor)
    if not isinstance(node, dict):
        return
    if isinstance(node.get('data_preprocessor'), dict):
        preprocessor_key, preprocessor = f'{key}.data_preprocessor', node['data_preprocessor']
        while isinstance(preprocessor.get('data_preprocessor'), dict):
            preprocessor_key, preprocessor = f'{preprocessor_key}.data_preprocessor', preprocessor['data_preprocessor']
    is_initializer = type_name(node) in ('Pretrained', 'PretrainedInit')
    name = 'checkpoint' if is_initializer else 'pretrained'
    checkpoint = node.get(name)
    if isinstance(checkpoint, str):
        yield PretrainedEntry(
            key=f'{key}.{name}',
            checkpoint=checkpoint,
            record=find_record(checkpoint),
            # A segmentor hands its own `pretrained` to its backbone.
            is_own=is_own(node) or is_own(owner if is_initializer else node.get('backbone')),
            preprocessor_key=preprocessor_key,
            preprocessor=preprocessor,
        )
    for inner, value in node.items():
        if inner != 'data_preprocessor':
            yield from _walk(value, f'{key}.{inner}', node, preprocessor_key, preprocessor)
