"""The `plugins` argument: checked, and built once on trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from resnest_mm.models.arguments.checks import booleans
from resnest_mm.models.arguments.layer_configs import layer_config, trial
from resnest_mm.models.layers.plugins import POSITIONS, BlockPlugin, attach_plugins
from resnest_mm.models.plan import StagePlan


def plan_plugins(plugins: Any, stages: Sequence[StagePlan]) -> tuple[tuple[BlockPlugin, ...], ...]:
    """Return the plugins of each stage.

    Args:
        plugins: Entries `dict(cfg=dict(type=..., ...), position=..., stages=(bool, ...))` as in mmdet; an entry without
            `stages` is for all stages. None means no plugins.
        stages: The plans of the stages.

    Raises:
        TypeError: An entry is not a dict, or its `cfg` is not a dict with a type.
        ValueError: A position or key is unknown, `stages` has the wrong length, or a layer cannot be built.
    """
    if isinstance(plugins, str | Mapping) or not isinstance(plugins, Sequence | None):
        raise TypeError(f'plugins={plugins!r} must be a list of dicts, or None')
    entries = [_checked_entry(f'plugins[{index}]', entry, len(stages)) for index, entry in enumerate(plugins or ())]
    by_stage = tuple(tuple(plugin for plugin, used in entries if used[index]) for index in range(len(stages)))
    for of_stage, stage in zip(by_stage, stages, strict=True):
        with trial(f'plugins={[dict(plugin.cfg) for plugin in of_stage]} cannot be built'):
            attach_plugins(nn.Module(), of_stage, width=stage.blocks[0].width, out_channels=stage.out_channels)
    return by_stage


def _checked_entry(name: str, entry: Any, num_stages: int) -> tuple[BlockPlugin, tuple[bool, ...]]:
    if not isinstance(entry, Mapping):
        raise TypeError(f'{name}={entry!r} must be a dict with cfg and position')
    unknown = sorted(set(entry) - {'cfg', 'position', 'stages'})
    if unknown or 'cfg' not in entry or 'position' not in entry:
        raise ValueError(
            f'{name}={dict(entry)!r} must have cfg and position, may have stages'
            + (f', and not {unknown}' if unknown else '')
        )
    if entry['position'] not in POSITIONS:
        raise ValueError(f'{name} position={entry["position"]!r} is unknown; choose one of {POSITIONS}')
    stages = booleans(f'{name} stages', entry.get('stages', (True,) * num_stages), length=num_stages, what='stage')
    if not any(stages):
        raise ValueError(f'{name} stages={stages} names no stage, so the plugin would do nothing; remove it')
    cfg = layer_config(f'{name} cfg', entry['cfg'])
    settings = {key: value for key, value in cfg.items() if key != 'postfix'}
    return BlockPlugin(cfg=settings, position=entry['position'], postfix=cfg.get('postfix', '')), stages
