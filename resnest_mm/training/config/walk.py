"""Walking through nested configs: all mappings, or the data sets inside their wrappers; and what a mapping builds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def iter_dicts(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield every mapping in a config with its dotted key, outer ones before inner ones.

    Args:
        node: Mapping, list, tuple or leaf.
        key: Dotted key of `node` itself, for messages.
    """
    if isinstance(node, dict):
        yield key, node
        for name, value in node.items():
            yield from iter_dicts(value, f'{key}.{name}')
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from iter_dicts(value, f'{key}.{index}')


def type_name(node: Mapping[str, Any]) -> str:
    """Return the `type` of a mapping without its scope or module; empty where the mapping has none.

    Args:
        node: Config of a part. In mmengine's pure Python style its type is a class.
    """
    kind = node.get('type')
    name = kind if isinstance(kind, str) else getattr(kind, '__name__', '')
    return name.rpartition('.')[2]


def is_own(node: Any) -> bool:
    """Return whether a config builds a part of this package: its `type` is `resnest_mm.<name>` or a class from here.

    Args:
        node: Config of a part; anything but a mapping is none.
    """
    kind = node.get('type') if isinstance(node, dict) else None
    name = kind if isinstance(kind, str) else getattr(kind, '__module__', '')
    return name.startswith('resnest_mm.')


def iter_datasets(node: Any, key: str, *, wrappers: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield the data sets that read files, which may be inside wrappers such as RepeatDataset.

    Args:
        node: Config of a data set, or a list of them.
        key: Dotted key of `node`, for messages.
        wrappers: Whether to yield the wrappers as well, each before its data sets.
    """
    if isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from iter_datasets(value, f'{key}.{index}', wrappers=wrappers)
    elif isinstance(node, dict):
        inner = [name for name in ('dataset', 'datasets') if isinstance(node.get(name), (dict, list, tuple))]
        if wrappers or not inner:
            yield key, node
        for name in inner:
            yield from iter_datasets(node[name], f'{key}.{name}', wrappers=wrappers)
