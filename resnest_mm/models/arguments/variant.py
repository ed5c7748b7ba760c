"""The arguments that choose a named network and change it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from resnest_mm.models.arguments.checks import boolean, integer
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
    if variant is None:
        named = Variant(depth=_known_depth(depth))
    else:
        named = _known_variant(variant)
        given = {
            'depth': depth,
            'stem_channels': stem_channels,
            'radix': radix,
            'groups': groups,
            'base_width': base_width,
            'avd_first': avd_first,
        }
        for name, value in given.items():
            if value is not None and value != getattr(named, name):
                raise ValueError(
                    f'{name}={value!r} contradicts variant={variant!r}, which has {name}={getattr(named, name)!r}; '
                    'give one of the two'
                )
    if radix == 0 and not isinstance(radix, bool):
        raise ValueError(
            'radix=0 would be a plain convolution, which is ResNet-D and not ResNeSt; radix must be at least 1'
        )
    stem_channels = default_stem_channels(named.depth) if stem_channels is None else stem_channels
    resolved = ResolvedVariant(
        depth=named.depth,
        stem_channels=integer('stem_channels', stem_channels, least=2),
        radix=integer('radix', named.radix if radix is None else radix, least=1),
        groups=integer('groups', named.groups if groups is None else groups, least=1),
        base_width=integer('base_width', named.base_width if base_width is None else base_width, least=1),
        avd_first=boolean('avd_first', named.avd_first if avd_first is None else avd_first),
    )
    if stem_channels % 2:
        raise ValueError(f'stem_channels={stem_channels} must be even: the first two convolutions have half of it')
    return resolved


def _known_depth(depth: int | None) -> int:
    if depth is None:
        raise ValueError(f'give depth= (one of {sorted(BLOCKS_PER_STAGE)}) or variant= (one of {sorted(VARIANTS)})')
    if depth in (18, 34) and not isinstance(depth, bool):
        raise ValueError(
            f'depth={depth} is built of basic blocks, into which split attention does not fit; the smallest networks '
            'are depth=14 and depth=26'
        )
    integer('depth', depth, least=1)
    if depth not in BLOCKS_PER_STAGE:
        raise ValueError(f'depth={depth!r} is unknown; choose one of {sorted(BLOCKS_PER_STAGE)}')
    return depth


def _known_variant(variant: str) -> Variant:
    if not isinstance(variant, str):
        raise TypeError(f'variant={variant!r} must be a name, one of {sorted(VARIANTS)}')
    if variant not in VARIANTS:
        nearest = difflib.get_close_matches(variant, VARIANTS, n=1, cutoff=0.0)[0]
        raise ValueError(f'variant={variant!r} is unknown; did you mean {nearest!r}? Choose one of {sorted(VARIANTS)}')
    return VARIANTS[variant]
