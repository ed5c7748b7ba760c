"""What a data set's pipeline does with its label maps, and what the model and the metric do with their labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mmengine.registry import TRANSFORMS

from resnest_mm.training.config.walk import iter_dicts, type_name
from resnest_mm.training.data_check.segmentation.labels import BYTE, LabelRules
from resnest_mm.training.data_check.source import Source

_RESIZING: Final = ('Resize', 'RandomResize', 'RandomChoiceResize', 'ResizeShortestEdge', 'ResizeToMultiple')


def loading_step(pipeline: Any) -> tuple[Any, Any]:
    """Return the config of the step that reads label maps, and its class; None, None where no such step is known.

    Args:
        pipeline: `pipeline` of a data set.
    """
    for step in pipeline if isinstance(pipeline, (list, tuple)) else ():
        kind = step.get('type') if isinstance(step, Mapping) else None
        if isinstance(kind, str):
            with TRANSFORMS.switch_scope_and_registry(None) as registry:
                kind = registry.get(kind)
        if any(base.__name__ == 'LoadAnnotations' for base in getattr(kind, '__mro__', ())):
            return step, kind
    return None, None


def resizes(pipeline: Any) -> bool:
    """Return whether a pipeline resizes after it has read the maps, so that maps of another scale fit again.

    Args:
        pipeline: `pipeline` of a data set.
    """
    step, _ = loading_step(pipeline)
    steps = list(pipeline or ())
    after = steps[steps.index(step) :] if step is not None else []
    return any(type_name(other) in _RESIZING for other in after if isinstance(other, Mapping))


def label_rules(source: Source, *, classes: int) -> LabelRules:
    """Return what happens to the values of the maps of one of mmseg's data sets.

    Args:
        source: The data set.
        classes: Number of classes, at least 1.
    """
    dataset = source.dataset
    if source.split == 'train':
        ignored = set(_head_values(source.cfg, 'ignore_index', default=BYTE))
    else:
        ignored = {node.get('ignore_index', BYTE) for node in _metrics(source)} or {BYTE}
    return LabelRules(
        classes=classes,
        ignored=frozenset(value for value in ignored if isinstance(value, int)),
        reduce_zero_label=bool(dataset.reduce_zero_label),
        label_map=dataset.label_map,
    )


def number_of_classes(source: Source) -> int:
    """Return the number of classes of a data set, or that of the model where it names none; 0 if that is unknown.

    Args:
        source: The data set.
    """
    if source.names:
        return len(source.names)
    counts = [value for value in _head_values(source.cfg, 'num_classes', default=0) if isinstance(value, int)]
    return max(counts, default=0)


def heads(cfg: Any) -> Iterator[tuple[str, Any]]:
    """Yield key and config of each decode head and auxiliary head.

    Args:
        cfg: The whole config.
    """
    model = cfg.get('model') or {}
    for name in ('decode_head', 'auxiliary_head'):
        entry = model.get(name)
        if isinstance(entry, Mapping):
            yield f'model.{name}', entry
        elif isinstance(entry, (list, tuple)):
            yield from (
                (f'model.{name}.{index}', head) for index, head in enumerate(entry) if isinstance(head, Mapping)
            )


def _head_values(cfg: Any, name: str, *, default: int) -> list[Any]:
    return [head.get(name, default) for _, head in heads(cfg)] or [default]


def _metrics(source: Source) -> list[Any]:
    evaluator = source.cfg.get(f'{source.split}_evaluator')
    return [node for _, node in iter_dicts(evaluator, '') if type_name(node).endswith('Metric')]
