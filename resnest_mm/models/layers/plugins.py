"""Extra layers (context blocks, non-local blocks, ...) at fixed positions inside the bottlenecks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mmcv.cnn import build_plugin_layer
from torch import Tensor, nn

from resnest_mm.models.layers.empty_batch import has_no_images, same_shape

POSITIONS: Final = ('after_conv1', 'after_conv2', 'after_conv3')


@dataclass(frozen=True)
class BlockPlugin:
    """One layer to insert into every bottleneck of a stage.

    Args:
        cfg: Config for mmcv's `build_plugin_layer`, without `in_channels`.
        position: One of `POSITIONS`.
        postfix: Suffix of the layer's attribute name, which distinguishes two layers of one type.
    """

    cfg: Mapping[str, Any]
    position: str
    postfix: int | str

    def build(self, *, width: int, out_channels: int) -> tuple[str, nn.Module]:
        """Return the attribute name and the layer, built for the channels at its position."""
        channels = out_channels if self.position == 'after_conv3' else width
        name, layer = build_plugin_layer(dict(self.cfg), postfix=self.postfix, in_channels=channels)
        return name, layer


def attach_plugins(
    block: nn.Module, plugins: Sequence[BlockPlugin], *, width: int, out_channels: int
) -> Mapping[str, str]:
    """Build the plugins, add them to a bottleneck as attributes, and return the position of each by its name.

    Args:
        block: The bottleneck.
        plugins: Its plugins.
        width: Channels between its 1x1 convolutions.
        out_channels: Its output channels.

    Raises:
        ValueError: Two layers have the same name.
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
    """Return `x` after all plugins at a position, in the order of the config."""
    for name, where in positions.items():
        if where == position:
            layer = getattr(block, name)
            x = same_shape(layer, x) if has_no_images(x) else layer(x)
    return x
