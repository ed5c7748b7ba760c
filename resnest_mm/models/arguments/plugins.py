"""The `plugins` argument: checked, and built and run once on trial."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from resnest_mm.models.arguments.checks import booleans, is_sequence, shown
from resnest_mm.models.arguments.layer_configs import layer_config, trial
from resnest_mm.models.arguments.size import MOST_PARAMETERS
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
        ValueError: A position or key is unknown, `stages` has the wrong length, or a layer cannot be built, has no
            channels, or changes the shape of a feature map.
    """
    if plugins is not None and not is_sequence(plugins):
        raise TypeError(f'plugins={shown(plugins)} must be a list of dicts, or None')
    entries = [_checked_entry(f'plugins[{index}]', entry, len(stages)) for index, entry in enumerate(plugins or ())]
    by_stage = tuple(tuple(plugin for plugin, used in entries if used[index]) for index in range(len(stages)))
    for of_stage, stage in zip(by_stage, stages, strict=True):
        _try(of_stage, stage)
    return by_stage


def _checked_entry(name: str, entry: Any, num_stages: int) -> tuple[BlockPlugin, tuple[bool, ...]]:
    if not isinstance(entry, Mapping):
        raise TypeError(f'{name}={shown(entry)} must be a dict with cfg and position')
    unknown = sorted(set(entry) - {'cfg', 'position', 'stages'}, key=str)
    if unknown or 'cfg' not in entry or 'position' not in entry:
        raise ValueError(
            f'{name}={shown(dict(entry))} must have cfg and position, may have stages'
            + (f', and not {unknown}' if unknown else '')
        )
    if not isinstance(entry['position'], str) or entry['position'] not in POSITIONS:
        raise ValueError(f'{name} position={shown(entry["position"])} is unknown; choose one of {POSITIONS}')
    stages = booleans(f'{name} stages', entry.get('stages', (True,) * num_stages), length=num_stages, what='stage')
    if not any(stages):
        raise ValueError(f'{name} stages={stages} names no stage, so the plugin would do nothing; remove it')
    cfg = layer_config(f'{name} cfg', entry['cfg'])
    settings = {key: value for key, value in cfg.items() if key != 'postfix'}
    return BlockPlugin(cfg=settings, position=entry['position'], postfix=cfg.get('postfix', '')), stages


def _try(plugins: Sequence[BlockPlugin], stage: StagePlan) -> None:
    block, width = nn.Module(), stage.blocks[0].width
    with trial(f'plugins={shown([dict(plugin.cfg) for plugin in plugins])} cannot be built'):
        _check_size(plugins, stage)
        positions = attach_plugins(block, plugins, width=width, out_channels=stage.out_channels)
        if any(parameter.numel() == 0 for parameter in block.parameters()):
            raise ValueError(f'with {width} or {stage.out_channels} channels, a layer would have no channels')
    with trial(f'plugins={shown([dict(plugin.cfg) for plugin in plugins])} cannot be run'):
        for name, position in positions.items():
            channels = stage.out_channels if position == 'after_conv3' else width
            _run(getattr(block, name), torch.zeros(1, channels, 6, 5))


def _check_size(plugins: Sequence[BlockPlugin], stage: StagePlan) -> None:
    # On the meta device, which gives no memory. A layer that cannot be built there is left to the real trial.
    block = nn.Module()
    with contextlib.suppress(Exception), torch.device('meta'):
        attach_plugins(block, plugins, width=stage.blocks[0].width, out_channels=stage.out_channels)
    found = sum(parameter.numel() for parameter in block.parameters()) * len(stage.blocks)
    if found > MOST_PARAMETERS:
        raise ValueError(
            f'they would have {found:.2g} parameters in one stage; at most {MOST_PARAMETERS:.0e} are allowed'
        )


def _run(layer: nn.Module, x: Tensor) -> None:
    try:
        y = layer.eval()(x)
    except RuntimeError as error:
        if 'device' in str(error) or 'cuda' in str(error).lower():
            return  # an op that only another device has
        raise
    if not isinstance(y, Tensor) or y.shape != x.shape:
        shape = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(f'it makes {shape} from a feature map of {tuple(x.shape)}, which must keep its shape')
