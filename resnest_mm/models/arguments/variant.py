"""The arguments that choose a named network and change it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from numbers import Integral

from resnest_mm.models.arguments.checks import boolean, channel_count, integer, shown
from resnest_mm.models.variants import BLOCKS_PER_STAGE, VARIANTS, Variant, default_stem_channels


@dataclass(frozen=True)
class ResolvedVariant:
    """A variant with the user's arguments applied; the fields mean the same as in `Variant`."""

    depth: int
    stem_channels: int
    radix: int
    groups: int
    base_width: int
    avd_first: bool


def resolve_variant(
    *,
    depth: int | None,
    variant: str | None,
    stem_channels: int | None,
    radix: int | None,
    groups: int | None,
    base_width: int | None,
    avd_first: bool | None,
) -> ResolvedVariant:
    """Return the network that `depth` or `variant` names, with the other arguments applied. None means "not given".

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: Depth or variant is unknown, both are missing, a value is out of range, or an argument contradicts
            the variant.
    """
    named = Variant(depth=_known_depth(depth)) if variant is None else _known_variant(variant)
    if isinstance(radix, Integral) and not isinstance(radix, bool) and radix == 0:
        raise ValueError(
            'radix=0 would be a plain convolution, which is ResNet-D and not ResNeSt; radix must be at least 1'
        )
    stem_channels = default_stem_channels(named.depth) if stem_channels is None else stem_channels
    resolved = ResolvedVariant(
        depth=named.depth if depth is None else integer('depth', depth, least=1),
        stem_channels=channel_count('stem_channels', stem_channels, least=2),
        radix=channel_count('radix', named.radix if radix is None else radix),
        groups=channel_count('groups', named.groups if groups is None else groups),
        base_width=channel_count('base_width', named.base_width if base_width is None else base_width),
        avd_first=boolean('avd_first', named.avd_first if avd_first is None else avd_first),
    )
    if variant is not None:
        for name, value in vars(resolved).items():
            if value != getattr(named, name):
                raise ValueError(
                    f'{name}={value!r} contradicts variant={variant!r}, which has {name}={getattr(named, name)!r}; '
                    'give one of the two'
                )
    if resolved.stem_channels % 2:
        raise ValueError(f'stem_channels={stem_channels} must be even: the first two convolutions have half of it')
    return resolved


def _known_depth(depth: int | None) -> int:
    if depth is None:
        raise ValueError(f'give depth= (one of {sorted(BLOCKS_PER_STAGE)}) or variant= (one of {sorted(VARIANTS)})')
    depth = integer('depth', depth, least=1)
    if depth in (18, 34):
        raise ValueError(
            f'depth={depth} is built of basic blocks, into which split attention does not fit; the smallest networks '
            'are depth=14 and depth=26'
        )
    if depth not in BLOCKS_PER_STAGE:
        raise ValueError(f'depth={depth!r} is unknown; choose one of {sorted(BLOCKS_PER_STAGE)}')
    return depth


def _known_variant(variant: str) -> Variant:
    if not isinstance(variant, str):
        raise TypeError(f'variant={shown(variant)} must be a name, one of {sorted(VARIANTS)}')
    if variant not in VARIANTS:
        nearest = difflib.get_close_matches(variant, VARIANTS, n=1, cutoff=0.0)[0]
        raise ValueError(
            f'variant={shown(variant)} is unknown; did you mean {nearest!r}? Choose one of {sorted(VARIANTS)}'
        )
    return VARIANTS[variant]
