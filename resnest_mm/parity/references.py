"""All networks of other packages that the backbone is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from resnest_mm.parity.host_pairs import mmdet_pairs, mmseg_pairs
from resnest_mm.parity.official_pairs import dilated_pairs, official_pairs
from resnest_mm.parity.pairs import Pair

GROUPS: Final[Mapping[str, Callable[[], list[Pair]]]] = MappingProxyType(
    {'official': official_pairs, 'dilated': dilated_pairs, 'mmdet': mmdet_pairs, 'mmseg': mmseg_pairs}
)
"""The pairs, by where the other network comes from; a missing package is a UserError."""
