"""Channels inside a split attention, as plain numbers."""

from __future__ import annotations


def gate_channels(channels: int, *, radix: int, reduction_factor: int) -> int:
    """Return the hidden channels of the gate, between its two 1x1 convolutions.

    Args:
        channels: Input channels of the layer, all cardinal groups together.
        radix: Splits in each cardinal group, at least 1.
        reduction_factor: Divisor of the hidden channels, at least 1; there are never fewer than 32.
    """
    return max(channels * radix // reduction_factor, 32)


def check_divisible(in_channels: int, channels: int, hidden: int, *, groups: int, radix: int) -> None:
    """Refuse channels that cannot be divided into groups and splits.

    Args:
        in_channels: Input channels of the layer, at least 1.
        channels: Output channels.
        hidden: Hidden channels of the gate.
        groups: Cardinal groups.
        radix: Splits in each cardinal group.

    Raises:
        ValueError: A number of channels is below 1 or not divisible.
    """
    for name, value, divisor, what in (
        ('input channels', in_channels, groups * radix, 'groups * radix'),
        ('output channels', channels, groups, 'groups'),
        ('hidden channels of the gate', hidden, groups, 'groups'),
    ):
        if value < 1 or value % divisor:
            raise ValueError(
                f'split attention cannot divide its {value} {name} by {what}={divisor}; '
                'change groups, radix, base_width, base_channels or reduction_factor'
            )
