"""A network of another package together with the arguments that give the same network here."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from torch import Tensor, nn

from resnest_mm.errors import UserError
from resnest_mm.registry import MODELS

TOLERANCE: Final = 1e-6
"""Largest relative difference in float32 up to depth 101."""

DEEP_TOLERANCE: Final = 1e-5
"""Largest relative difference for deeper networks, which accumulate more rounding."""

STRIDE_8: Final = MappingProxyType({'strides': (1, 2, 1, 1), 'dilations': (1, 1, 2, 4)})
STRIDE_16: Final = MappingProxyType({'strides': (1, 2, 2, 1), 'dilations': (1, 1, 1, 2)})
"""Arguments for dilated networks: the last feature map has stride 8 or 16 instead of 32."""

INSTALL: Final = MappingProxyType(
    {
        'resnest': 'pip install --no-deps resnest==0.0.5',
        'mmdet': 'pip install mmdet',
        'mmseg': 'pip install mmsegmentation ftfy regex',
    }
)
"""The command that installs each package."""


@dataclass(frozen=True)
class Pair:
    """A network of another package and its counterpart here.

    Args:
        label: Name of the network in a table.
        depth: Its nominal depth.
        build_reference: Builds the other package's network.
        reference_maps: Runs that network on images and returns the feature map of each stage.
        rename: Renames the keys of that network's state dict, or of any other mapping with these keys, to ours.
        keywords: Arguments of `resnest_mm.ResNeSt` for the same network.
        gradients: Whether gradients are compared, too, which takes longer.
    """

    label: str
    depth: int
    build_reference: Callable[[], nn.Module]
    reference_maps: Callable[[nn.Module, Tensor], tuple[Tensor, ...]]
    rename: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
    keywords: Mapping[str, Any]
    gradients: bool = False

    @property
    def tolerance(self) -> float:
        """Return the largest relative difference that counts as equal."""
        return TOLERANCE if self.depth <= 101 else DEEP_TOLERANCE

    def build(self) -> nn.Module:
        """Build our network through the registry, as a config does."""
        backbone: nn.Module = MODELS.build({'type': 'resnest_mm.ResNeSt', **self.keywords})
        return backbone


def import_reference(name: str) -> Any:
    """Return a module of another package.

    Args:
        name: Full name of the module.

    Raises:
        UserError: The module cannot be imported; the message says how to install the package.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f'{name} cannot be imported ({error}); {INSTALL[name.partition(".")[0]]}') from error
