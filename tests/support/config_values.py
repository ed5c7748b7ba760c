"""Two configs compared value by value, whichever of mmengine's two styles they are written in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

ABSENT = 'absent'
SECTIONS = (
    'model', 'default_scope', 'default_hooks', 'custom_hooks', 'env_cfg', 'vis_backends', 'visualizer', 'launcher',
    'log_processor', 'log_level', 'load_from', 'resume', 'randomness', 'experiment_name', 'work_dir', 'auto_scale_lr',
    'train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator',
    'train_cfg', 'val_cfg', 'test_cfg', 'optim_wrapper', 'param_scheduler', 'tta_model', 'tta_pipeline',
)  # fmt: skip
"""What a runner and `tools/test.py` read of a config; the rest are the names that its files use for themselves."""


def differences(left: Config, right: Config) -> dict[str, tuple[Any, Any]]:
    """Return the dotted keys whose values or types differ, with both values."""
    pairs = [dict(flat({name: cfg[name] for name in SECTIONS if name in cfg}, '')) for cfg in (left, right)]
    found = {key: (pairs[0].get(key, ABSENT), pairs[1].get(key, ABSENT)) for key in pairs[0] | pairs[1]}
    return {key: (a, b) for key, (a, b) in found.items() if (type(a), a) != (type(b), b)}


def flat(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys and values of a config's leaves; a sequence without dicts is one, as a tuple."""
    if isinstance(node, dict):
        # mmengine notes there whose config a part comes from; it is the default scope in all of ours
        names = [name for name in node if name != '_scope_' or node[name] != 'mmdet']
        for name in names:
            yield from flat(node[name], f'{key}.{name}' if key else name)
        if not names:
            yield key, ()
    elif isinstance(node, (list, tuple)) and any(isinstance(value, (dict, list, tuple)) for value in node):
        for index, value in enumerate(node):
            yield from flat(value, f'{key}.{index}')
    elif isinstance(node, (list, tuple)):
        yield key, tuple(node)
    else:
        yield key, registered_name(node) if isinstance(node, type) else node


def registered_name(kind: type) -> str:
    """Return how a config names a class: ours with their scope."""
    return f'resnest_mm.{kind.__name__}' if kind.__module__.startswith('resnest_mm.') else kind.__name__
