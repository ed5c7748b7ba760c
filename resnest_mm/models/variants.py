"""The named networks: every released ResNeSt and those of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

BLOCKS_PER_STAGE: Final[Mapping[int, tuple[int, int, int, int]]] = MappingProxyType(
    {
        14: (1, 1, 1, 1),
        26: (2, 2, 2, 2),
        50: (3, 4, 6, 3),
        101: (3, 4, 23, 3),
        152: (3, 8, 36, 3),
        200: (3, 24, 36, 3),
        269: (3, 30, 48, 8),
    }
)
"""Bottlenecks in each of the four stages, by nominal depth."""

DEEPEST_WITH_NARROW_STEM: Final = 50
"""Released networks have a stem of 64 channels up to this depth, and of 128 above."""


def default_stem_channels(depth: int) -> int:
    """Return the output channels of the stem in the released networks of a depth."""
    return 64 if depth <= DEEPEST_WITH_NARROW_STEM else 128


@dataclass(frozen=True)
class Variant:
    """One named network.

    Args:
        depth: Nominal depth, a key of `BLOCKS_PER_STAGE`.
        radix: Splits in each cardinal group, at least 1.
        groups: Cardinal groups, at least 1.
        base_width: Channels of one cardinal group in a 64-channel bottleneck.
        avd_first: Whether the average pool is before the split attention instead of after it.
    """

    depth: int
    radix: int = 2
    groups: int = 1
    base_width: int = 64
    avd_first: bool = False

    @property
    def stem_channels(self) -> int:
        """Return the output channels of the stem."""
        return default_stem_channels(self.depth)


def _fast(radix: int, groups: int, base_width: int) -> Variant:
    return Variant(depth=50, radix=radix, groups=groups, base_width=base_width, avd_first=True)


VARIANTS: Final[Mapping[str, Variant]] = MappingProxyType(
    {
        **{f'resnest{depth}': Variant(depth=depth) for depth in BLOCKS_PER_STAGE},
        'resnest50_fast_1s1x64d': _fast(1, 1, 64),
        'resnest50_fast_2s1x64d': _fast(2, 1, 64),
        'resnest50_fast_4s1x64d': _fast(4, 1, 64),
        'resnest50_fast_1s2x40d': _fast(1, 2, 40),
        'resnest50_fast_2s2x40d': _fast(2, 2, 40),
        'resnest50_fast_4s2x40d': _fast(4, 2, 40),
        'resnest50_fast_1s4x24d': _fast(1, 4, 24),
    }
)
"""All named networks. In a name, `2s1x64d` means radix 2, 1 cardinal group, base width 64."""
