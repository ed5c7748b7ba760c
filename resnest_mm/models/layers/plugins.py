"""Extra layers (context blocks, non-local blocks, ...) at fixed places inside the bottlenecks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mmcv.cnn import build_plugin_layer
from torch import Tensor, nn

from resnest_mm.models.arguments.checks import booleans
from resnest_mm.models.arguments.layer_configs import layer_config, trial
from resnest_mm.models.plan import StagePlan

POSITIONS: Final = ('after_conv1', 'after_conv2', 'after_conv3')


@dataclass(frozen=True)
class BlockPlugin:
    """One layer to insert into every bottleneck of a stage.

    Args:
        cfg: Config for mmcv's `build_plugin_layer`, without `in_channels`.
        position: One of `POSITIONS`.
        postfix: Suffix of the layer's attribute name, to tell apart two layers of one type.
    """

    cfg: Mapping[str, Any]
    position: str
    postfix: int | str

    def build(self, *, width: int, out_channels: int) -> tuple[str, nn.Module]:
        """Return the attribute name and the layer, for the channels that its position really has."""
        channels = out_channels if self.position == 'after_conv3' else width
        name, layer = build_plugin_layer(dict(self.cfg), postfix=self.postfix, in_channels=channels)
        return name, layer


def plan_plugins(plugins: Any, plans: Sequence[StagePlan]) -> tuple[tuple[BlockPlugin, ...], ...]:
    """Return the plugins of each stage, after building them once on trial.

    Args:
        plugins: Entries `dict(cfg=dict(type=..., ...), position=..., stages=(bool, ...))`, as in mmdet; without
            `stages` an entry holds for all. None means no plugins.
        plans: The stages.

    Raises:
        TypeError: On an entry that is no dict, or whose `cfg` is none with a type.
        ValueError: On an unknown position or key, `stages` of the wrong length, or a layer that cannot be built.
    """
    if isinstance(plugins, str | Mapping) or not isinstance(plugins, Sequence | None):
        raise TypeError(f'plugins={plugins!r} must be a list of dicts, or None')
    entries = [_checked_entry(f'plugins[{index}]', entry, len(plans)) for index, entry in enumerate(plugins or ())]
    by_stage = tuple(tuple(plugin for plugin, stages in entries if stages[index]) for index in range(len(plans)))
    for stage, plan in zip(by_stage, plans, strict=True):
        with trial(f'plugins={[dict(plugin.cfg) for plugin in stage]} cannot be built'):
            attach_plugins(nn.Module(), stage, width=plan.blocks[0].width, out_channels=plan.out_channels)
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


def attach_plugins(
    block: nn.Module, plugins: Sequence[BlockPlugin], *, width: int, out_channels: int
) -> Mapping[str, str]:
    """Build the plugins into a block as attributes, and return the position of each by its name.

    Args:
        block: The bottleneck.
        plugins: Its plugins.
        width: Channels between its 1x1 convolutions.
        out_channels: Its output channels.

    Raises:
        ValueError: Where two layers have one name.
    """
    positions = {}
    for plugin in plugins:
        name, layer = plugin.build(width=width, out_channels=out_channels)
        if hasattr(block, name):
            raise ValueError(f'plugins build two layers named {name!r} in one bottleneck; give one of them a postfix')
        block.add_module(name, layer)
        positions[name] = plugin.position
    return positions


def run_plugins(block: nn.Module, positions: Mapping[str, str], position: str, x: Tensor) -> Tensor:
    """Return `x` after the block's plugins at one position, in the order of the config."""
    for name, where in positions.items():
        if where == position:
            x = getattr(block, name)(x)
    return x
