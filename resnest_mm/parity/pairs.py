"""A network of another package and the keywords that must give the same network here."""

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
"""The same for deeper networks, which add up more rounding."""

STRIDE_8: Final = MappingProxyType({'strides': (1, 2, 1, 1), 'dilations': (1, 1, 2, 4)})
STRIDE_16: Final = MappingProxyType({'strides': (1, 2, 2, 1), 'dilations': (1, 1, 1, 2)})
"""Arguments for maps of a higher resolution: the stride of the last map is 8 or 16 instead of 32."""

INSTALL: Final = MappingProxyType(
    {
        'resnest': 'pip install --no-deps resnest==0.0.5',
        'mmdet': 'pip install mmdet',
        'mmseg': 'pip install mmsegmentation ftfy regex',
    }
)
"""How to install each package that is compared with."""


@dataclass(frozen=True)
class Pair:
    """A network of another package and its counterpart here.

    Args:
        label: What the network is called in a table.
        depth: Its nominal depth.
        build_reference: Builds it.
        reference_maps: Runs it, and returns the output of each stage.
        rename: Gives its state dict, or anything else by the names in there, the names of this package.
        keywords: Arguments of this package's backbone for the same network.
        gradients: Whether gradients are worth their time, too.
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
        """Return the largest relative difference that is still rounding."""
        return TOLERANCE if self.depth <= 101 else DEEP_TOLERANCE

    def build(self) -> nn.Module:
        """Build the counterpart through the registry, as a config would."""
        backbone: nn.Module = MODELS.build({'type': 'resnest_mm.ResNeSt', **self.keywords})
        return backbone


def import_oracle(name: str) -> Any:
    """Return a module of another package.

    Args:
        name: Its full name.

    Raises:
        UserError: It cannot be imported; the message says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f'{name} cannot be imported ({error}); {INSTALL[name.partition(".")[0]]}') from error
