"""What the arguments that shape the whole network may be."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from resnest_mm.models.arguments.checks import boolean, integer, integers, probability
from resnest_mm.models.plan import StagePlan, plan_stages
from resnest_mm.models.split_attention import check_divisible, gate_channels
from resnest_mm.models.variants import BLOCKS_PER_STAGE, VARIANTS, Variant, default_stem_channels

_ALWAYS: Final = 'every ResNeSt has it; remove the argument'
RECTIFIED: Final = (
    'no released network uses rectified convolution and its package is not maintained; remove the argument'
)

REFUSED_KEYWORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        'deep_stem': _ALWAYS,
        'avg_down': _ALWAYS,
        'avd': 'it is called avg_down_stride here',
        'cardinality': 'it is called groups here',
        'bottleneck_width': 'it is called base_width here',
        'stem_width': 'it is half of stem_channels here',
        'last_gamma': 'it is called zero_init_residual here',
        'rectified_conv': RECTIFIED,
        'rectify_avg': RECTIFIED,
        'dropblock_prob': 'the released networks are trained without DropBlock downstream; drop_path_rate regularises',
        'num_classes': 'a backbone has no classifier; remove the argument',
        'norm_layer': 'norms come from a config here: norm_cfg=dict(type=...)',
        'dilated': 'say strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4) instead',
        'output_stride': 'say strides and dilations instead; stride 8 is strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)',
    }
)
"""Arguments of other implementations, with the reason why there is no such argument here."""


@dataclass(frozen=True)
class Architecture:
    """A variant with the user's arguments applied."""

    depth: int
    stem_channels: int
    radix: int
    groups: int
    base_width: int
    avd_first: bool


def resolve_architecture(
    *,
    depth: int | None,
    variant: str | None,
    stem_channels: int | None,
    radix: int | None,
    groups: int | None,
    base_width: int | None,
    avd_first: bool | None,
) -> Architecture:
    """Return what `depth` or `variant` and the arguments beside it describe; None stands for "not given".

    Raises:
        TypeError: On a value of the wrong type.
        ValueError: On an unknown depth or variant, neither of both, a value out of range, or an argument that
            contradicts the variant.
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
    architecture = Architecture(
        depth=named.depth,
        stem_channels=integer('stem_channels', stem_channels, least=2),
        radix=integer('radix', named.radix if radix is None else radix, least=1),
        groups=integer('groups', named.groups if groups is None else groups, least=1),
        base_width=integer('base_width', named.base_width if base_width is None else base_width, least=1),
        avd_first=boolean('avd_first', named.avd_first if avd_first is None else avd_first),
    )
    if stem_channels % 2:
        raise ValueError(f'stem_channels={stem_channels} must be even: the first two convolutions have half of it')
    return architecture


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


def plan_network(
    architecture: Architecture,
    blocks_per_stage: Sequence[int],
    *,
    base_channels: int,
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    multi_grid: Sequence[int] | None,
    contract_dilation: bool,
    avg_down_stride: bool,
    avd_in_dilated: bool,
    drop_path_rate: float,
    stage_with_dcn: Sequence[bool],
    dcn_on_strided: bool,
) -> tuple[StagePlan, ...]:
    """Return the plan of each stage, see `plan_stages`; None stands for "not given".

    Raises:
        TypeError: On a value of the wrong type.
        ValueError: On a value out of range or a sequence of the wrong length.
    """
    num_stages = len(blocks_per_stage)
    if multi_grid is not None:
        multi_grid = integers('multi_grid', multi_grid, length=blocks_per_stage[-1], what='block of the last stage')
    strides = (1, 2, 2, 2)[:num_stages] if strides is None else strides
    dilations = (1,) * num_stages if dilations is None else dilations
    return plan_stages(
        blocks_per_stage,
        stem_channels=architecture.stem_channels,
        base_channels=integer('base_channels', base_channels, least=1),
        groups=architecture.groups,
        base_width=architecture.base_width,
        strides=integers('strides', strides, length=num_stages, what='stage'),
        dilations=integers('dilations', dilations, length=num_stages, what='stage'),
        multi_grid=multi_grid,
        contract_dilation=boolean('contract_dilation', contract_dilation),
        avg_down_stride=boolean('avg_down_stride', avg_down_stride),
        avd_in_dilated=boolean('avd_in_dilated', avd_in_dilated),
        drop_path_rate=probability('drop_path_rate', drop_path_rate),
        stage_with_dcn=stage_with_dcn,
        dcn_on_strided=dcn_on_strided,
    )


def check_style(style: Any) -> None:
    """Refuse every `style` but 'pytorch'."""
    if style == 'caffe':
        raise ValueError(
            "style='caffe' moves the stride to the first 1x1 convolution, where ResNeSt's average pool cannot take it; "
            "remove it or say style='pytorch'"
        )
    if style != 'pytorch':
        raise ValueError(f"style={style!r} is unknown; the only one is 'pytorch'")


def check_widths(plans: Sequence[StagePlan], architecture: Architecture, *, reduction_factor: int) -> None:
    """Refuse widths that cannot be divided into groups and splits, and warn where they are hardly meant."""
    radix, groups = architecture.radix, architecture.groups
    for width in (stage.blocks[0].width for stage in plans):
        gate = gate_channels(width, radix=radix, reduction_factor=reduction_factor)
        check_divisible(width, width, gate, groups=groups, radix=radix)
    if architecture.base_width < 16:
        warnings.warn(
            f'base_width={architecture.base_width} with groups={groups} makes the first stage '
            f'{plans[0].blocks[0].width} channels wide; base_width counts '
            'the channels of one group in a 64-channel bottleneck, and the released '
            'networks have 64, 40 or 24',
            stacklevel=4,
        )
