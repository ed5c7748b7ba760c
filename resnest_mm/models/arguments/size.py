"""The size of a network, computed from its plan before anything is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from resnest_mm.models.plan import BlockPlan, StagePlan
from resnest_mm.models.widths import gate_channels

MOST_PARAMETERS: Final = 1_000_000_000
"""The most parameters of a network; ResNeSt-269, the largest released one, has 0.11 billion."""


def check_size(
    stages: Sequence[StagePlan],
    *,
    in_channels: int,
    stem_channels: int,
    radix: int,
    groups: int,
    reduction_factor: int,
) -> None:
    """Refuse a network with more than `MOST_PARAMETERS` parameters.

    Args:
        stages: The plans of the stages.
        in_channels: Channels of the image.
        stem_channels: Output channels of the stem.
        radix: Splits in each cardinal group.
        groups: Cardinal groups.
        reduction_factor: Divisor of the hidden channels of the gates.

    Raises:
        ValueError: The network is larger.
    """
    half = stem_channels // 2
    stem = 9 * half * (in_channels + half + stem_channels)
    blocks = [block for stage in stages for block in stage.blocks]
    found = stem + sum(_parameters(block, radix, groups, reduction_factor) for block in blocks)
    if found > MOST_PARAMETERS:
        widest = max(block.width for block in blocks)
        raise ValueError(
            f'the network would have about {found:.2g} parameters and bottlenecks of up to {widest} channels; at most '
            f'{MOST_PARAMETERS:.0e} parameters are allowed. Decrease base_channels, base_width, groups, radix, '
            'stem_channels or in_channels'
        )


def _parameters(block: BlockPlan, radix: int, groups: int, reduction_factor: int) -> int:
    # Without the biases, and the weights of the offset convolutions, which are few.
    hidden = gate_channels(block.width, radix=radix, reduction_factor=reduction_factor)
    split_attention = (9 * block.width * block.width + hidden * block.width * (radix + 1)) // groups
    norms = 2 * (block.width * (radix + 1) + hidden + 2 * block.out_channels)
    shortcut = block.in_channels * block.out_channels if block.shortcut else 0
    return split_attention + norms + shortcut + block.width * (block.in_channels + block.out_channels)
