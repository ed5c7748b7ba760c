"""From the arguments of the backbone to the plan of its network."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

from resnest_mm.models.arguments.checks import boolean, booleans, channel_count, integer, integers, probability
from resnest_mm.models.arguments.layer_configs import check_deform_groups, conv_config, deform_config
from resnest_mm.models.arguments.norms import norm_config
from resnest_mm.models.arguments.size import check_size
from resnest_mm.models.arguments.variant import ResolvedVariant
from resnest_mm.models.layers.norm_config import BATCH_NORM, pooled_norm_cfg
from resnest_mm.models.plan import BlockSettings, NetworkPlan, StagePlan, norm_widths, plan_stages
from resnest_mm.models.variants import BLOCKS_PER_STAGE
from resnest_mm.models.widths import check_divisible, gate_channels

_MOST_STRIDE: Final = 16
"""The largest stride of a stage: with 32x32 pixels a feature map of the default network has 1x1 values already."""

_MOST_DILATION: Final = 1024
"""The largest dilation: more than the sides of the feature maps of the largest images."""


def plan_network(
    variant: ResolvedVariant,
    *,
    in_channels: int,
    num_stages: int,
    base_channels: int,
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    multi_grid: Sequence[int] | None,
    contract_dilation: bool,
    reduction_factor: int,
    avg_down_stride: bool,
    avd_in_dilated: bool,
    drop_path_rate: float,
    conv_cfg: Mapping[str, Any] | None,
    norm_cfg: Mapping[str, Any] | None,
    attn_norm_cfg: Mapping[str, Any] | None,
    dcn: Mapping[str, Any] | None,
    stage_with_dcn: Sequence[bool] | None,
) -> NetworkPlan:
    """Return the plan of the network that the arguments of `ResNeSt` describe; they are explained there.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range, a sequence has the wrong length, or a layer cannot be built.
    """
    num_stages = integer('num_stages', num_stages, least=1, most=4)
    reduction_factor = channel_count('reduction_factor', reduction_factor)
    stage_with_dcn = (False,) * num_stages if stage_with_dcn is None else stage_with_dcn
    stage_with_dcn = booleans('stage_with_dcn', stage_with_dcn, length=num_stages, what='stage')
    dcn = deform_config(dcn, stage_with_dcn, radix=variant.radix)
    blocks_per_stage = BLOCKS_PER_STAGE[variant.depth][:num_stages]
    if multi_grid is not None:
        multi_grid = integers(
            'multi_grid', multi_grid, length=blocks_per_stage[-1], what='block of the last stage', most=_MOST_DILATION
        )
    strides = (1, 2, 2, 2)[:num_stages] if strides is None else strides
    dilations = (1,) * num_stages if dilations is None else dilations
    stages = plan_stages(
        blocks_per_stage,
        stem_channels=variant.stem_channels,
        base_channels=channel_count('base_channels', base_channels),
        groups=variant.groups,
        base_width=variant.base_width,
        strides=integers('strides', strides, length=num_stages, what='stage', most=_MOST_STRIDE),
        dilations=integers('dilations', dilations, length=num_stages, what='stage', most=_MOST_DILATION),
        multi_grid=multi_grid,
        contract_dilation=boolean('contract_dilation', contract_dilation),
        avg_down_stride=boolean('avg_down_stride', avg_down_stride),
        avd_in_dilated=boolean('avd_in_dilated', avd_in_dilated),
        drop_path_rate=probability('drop_path_rate', drop_path_rate),
        stage_with_dcn=stage_with_dcn,
        dcn_on_strided=not (dcn or {}).get('fallback_on_stride', False),
    )
    hidden_channels = _check_widths(stages, variant, reduction_factor=reduction_factor)
    check_size(
        stages,
        in_channels=channel_count('in_channels', in_channels),
        stem_channels=variant.stem_channels,
        radix=variant.radix,
        groups=variant.groups,
        reduction_factor=reduction_factor,
    )
    check_deform_groups(dcn, stages, radix=variant.radix)
    norm_cfg = norm_config(
        'norm_cfg',
        BATCH_NORM if norm_cfg is None else norm_cfg,
        channels=norm_widths(stages, stem_channels=variant.stem_channels, radix=variant.radix),
        size=2,
    )
    attn_norm_cfg = norm_config(
        'attn_norm_cfg',
        pooled_norm_cfg(norm_cfg) if attn_norm_cfg is None else attn_norm_cfg,
        channels=hidden_channels,
        size=1,
    )
    settings = BlockSettings(
        radix=variant.radix,
        groups=variant.groups,
        reduction_factor=reduction_factor,
        avd_first=variant.avd_first,
        conv_cfg=conv_config(conv_cfg),
        dcn=dcn,
        norm_cfg=norm_cfg,
        attn_norm_cfg=attn_norm_cfg,
    )
    return NetworkPlan(stem_channels=variant.stem_channels, stages=stages, block_settings=settings)


def _check_widths(stages: Sequence[StagePlan], variant: ResolvedVariant, *, reduction_factor: int) -> set[int]:
    """Return the hidden channels of all gates, after checking that all widths can be divided as required."""
    radix, groups = variant.radix, variant.groups
    hidden_channels = set()
    for width in (stage.blocks[0].width for stage in stages):
        hidden = gate_channels(width, radix=radix, reduction_factor=reduction_factor)
        check_divisible(width, width, hidden, groups=groups, radix=radix)
        hidden_channels.add(hidden)
    if variant.base_width < 16:
        warnings.warn(
            f'base_width={variant.base_width} with groups={groups} makes the first stage '
            f'{stages[0].blocks[0].width} channels wide; base_width is the number of channels of one group in a '
            '64-channel bottleneck, and the released networks have 64, 40 or 24',
            stacklevel=5,
        )
    return hidden_channels
