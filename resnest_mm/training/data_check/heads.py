"""The numbers of classes in the heads of a model against the classes of its data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from mmengine.config import Config
from torch import nn

from resnest_mm.training.config.walk import iter_dicts, type_name
from resnest_mm.training.data_check.finding import Finding
from resnest_mm.training.data_check.source import Source

_OTHER_PLACES: Final = ('rpn_head', 'reid')
_OTHER_KINDS: Final = ('RPN', 'VGG', 'FusedSemantic', 'QueryGenerator')
"""Parts of names of places and of classes whose `num_classes` counts something else, or repeats what a head has."""

_FIELDS: Final = ('num_classes', 'num_things_classes', 'num_stuff_classes')


def check_heads(cfg: Config, model: nn.Module | None, sources: Sequence[Source]) -> list[Finding]:
    """Return every head whose number of classes is not that of the data.

    The built model also knows the numbers that its config leaves out. Models that read the names of their classes have
    no such number.

    Args:
        cfg: The whole config.
        model: The built model; None judges the config instead.
        sources: Data sets of the run, the one that the model learns from first.
    """
    config = cfg.get('model') or {}
    if not sources or not sources[0].things or 'language_model' in config:
        return []
    things, stuff = len(sources[0].things), _stuff(sources)
    wanted = {'num_classes': things, 'num_things_classes': things, 'num_stuff_classes': stuff}
    findings = []
    for name, values in _heads(config, model):
        split = 'num_things_classes' in values or 'num_stuff_classes' in values
        for field, value in values.items():
            right = wanted[field]
            if right is None or value == right or (split and field == 'num_classes'):
                continue
            what = f'{field}={value}, but the data has {right} classes ({sources[0].key})'
            remedy = f'set {field}={right}, or correct the classes of the data'
            findings.append(Finding(severity='error', key=f'model.{name}', what=what, remedy=remedy))
    return findings


def _stuff(sources: Sequence[Source]) -> int | None:
    for source in sources:
        if source.is_a('CocoPanopticDataset'):
            return len(source.dataset.metainfo.get('stuff_classes') or ())
    return None


def _heads(config: Any, model: nn.Module | None) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield the place and the numbers of classes of every head of a model."""
    if model is not None:
        parts = [(name, type(part).__name__, vars(part)) for name, part in model.named_modules() if name]
    else:
        parts = [(key[1:], type_name(node), dict(node)) for key, node in iter_dicts(config, '') if key]
    for name, kind, values in parts:
        if any(part in name for part in _OTHER_PLACES) or any(part in kind for part in _OTHER_KINDS):
            continue
        numbers = _numbers(values)
        if numbers:
            yield name, numbers


def _numbers(values: Mapping[str, Any]) -> dict[str, int]:
    if values.get('class_agnostic'):
        return {}
    return {field: values[field] for field in _FIELDS if type(values.get(field)) is int}
