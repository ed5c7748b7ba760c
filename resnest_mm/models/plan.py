"""The plan of a network as plain data: it is made and checked before the first layer is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

EXPANSION: Final = 4
"""Output channels of a bottleneck, divided by its inner channels at `base_width=64` and one group."""


@dataclass(frozen=True)
class BlockPlan:
    """One bottleneck.

    Args:
        in_channels: Input channels.
        width: Channels between its 1x1 convolutions, all cardinal groups together.
        out_channels: Output channels.
        stride: Stride of the block.
        dilation: Dilation of its 3x3 convolution.
        pooled: Whether a 3x3 average pool has the stride instead of the 3x3 convolution.
        shortcut: Whether the shortcut has a 1x1 convolution.
        drop_path: Probability in [0, 1) that the residual branch is dropped in training.
        dcn: Whether its 3x3 convolution is deformable.
    """

    in_channels: int
    width: int
    out_channels: int
    stride: int
    dilation: int
    pooled: bool
    shortcut: bool
    drop_path: float
    dcn: bool


@dataclass(frozen=True)
class StagePlan:
    """One stage: its bottlenecks, its output channels, and the stride of its output relative to the image."""

    blocks: tuple[BlockPlan, ...]
    out_channels: int
    out_stride: int


@dataclass(frozen=True)
class BlockSettings:
    """The settings that all bottlenecks of a network share.

    Args:
        radix: Splits in each cardinal group.
        groups: Cardinal groups.
        reduction_factor: Divisor of the gate's hidden channels.
        avd_first: Whether the average pool is before the split attention instead of after it.
        conv_cfg: Config of the plain convolutions for mmcv; None means torch's.
        dcn: Config of the deformable convolutions; None means no deformable convolutions.
        norm_cfg: Config of the norms.
        attn_norm_cfg: Config of the norms after the global pooling.
    """

    radix: int
    groups: int
    reduction_factor: int
    avd_first: bool
    conv_cfg: Mapping[str, Any] | None
    dcn: Mapping[str, Any] | None
    norm_cfg: Mapping[str, Any]
    attn_norm_cfg: Mapping[str, Any]


@dataclass(frozen=True)
class NetworkPlan:
    """A whole network: the channels of its stem, its stages, and the settings of all bottlenecks."""

    stem_channels: int
    stages: tuple[StagePlan, ...]
    block_settings: BlockSettings


def plan_stages(
    blocks_per_stage: Sequence[int],
    *,
    stem_channels: int,
    base_channels: int,
    groups: int,
    base_width: int,
    strides: Sequence[int],
    dilations: Sequence[int],
    multi_grid: Sequence[int] | None,
    contract_dilation: bool,
    avg_down_stride: bool,
    avd_in_dilated: bool,
    drop_path_rate: float,
    stage_with_dcn: Sequence[bool],
    dcn_on_strided: bool,
) -> tuple[StagePlan, ...]:
    """Return the plan of each stage. Sequences have one entry for each stage unless said otherwise.

    Args:
        blocks_per_stage: Bottlenecks in each stage, at least 1.
        stem_channels: Output channels of the stem.
        base_channels: Inner channels of the first stage's bottlenecks at `base_width=64` and one group.
        groups: Cardinal groups.
        base_width: Channels of a cardinal group in a 64-channel bottleneck.
        strides: Stride of each stage.
        dilations: Dilation of each stage.
        multi_grid: Dilation of each bottleneck in the last stage; None means that stage's entry in `dilations`.
        contract_dilation: Whether the first bottleneck of a dilated stage has half of the stage's dilation.
        avg_down_stride: Whether 3x3 average pools have the strides instead of the 3x3 convolutions.
        avd_in_dilated: Whether the first bottleneck of stages 2 to 4 has that pool even if its stride is 1.
        drop_path_rate: Drop probability of the last bottleneck; it rises linearly from 0 at the first.
        stage_with_dcn: Which stages have deformable convolutions.
        dcn_on_strided: Whether bottlenecks with a stride have them, too.

    Source: `ResNet._make_layer` of zhanghang1989/ResNeSt@1dfb3e8; `multi_grid` as in mmsegmentation 1.2.2.
    """
    total = sum(blocks_per_stage)
    plans: list[StagePlan] = []
    in_channels, out_stride, position = stem_channels, 4, 0
    for stage, depth in enumerate(blocks_per_stage):
        planes = base_channels << stage
        width = int(planes * base_width / 64) * groups
        out_stride *= strides[stage]
        is_last = stage == len(blocks_per_stage) - 1
        grid = multi_grid if is_last else None
        blocks = []
        for index in range(depth):
            first = index == 0
            stride = strides[stage] if first else 1
            dilation = _block_dilation(dilations[stage], index, grid=grid, contract=contract_dilation)
            blocks.append(
                BlockPlan(
                    in_channels=in_channels,
                    width=width,
                    out_channels=planes * EXPANSION,
                    stride=stride,
                    dilation=dilation,
                    pooled=avg_down_stride and first and (stride > 1 or (stage > 0 and avd_in_dilated)),
                    shortcut=stride > 1 or in_channels != planes * EXPANSION,
                    drop_path=drop_path_rate * position / max(total - 1, 1),
                    dcn=stage_with_dcn[stage] and (dcn_on_strided or stride == 1),
                )
            )
            in_channels = planes * EXPANSION
            position += 1
        plans.append(StagePlan(blocks=tuple(blocks), out_channels=in_channels, out_stride=out_stride))
    return tuple(plans)


def norm_widths(plans: Sequence[StagePlan], *, stem_channels: int, radix: int) -> set[int]:
    """Return the numbers of channels of all norms except those inside the gates."""
    blocks = [block for plan in plans for block in plan.blocks]
    return {stem_channels // 2, stem_channels} | {
        channels for block in blocks for channels in (block.width, block.width * radix, block.out_channels)
    }


def _block_dilation(dilation: int, index: int, *, grid: Sequence[int] | None, contract: bool) -> int:
    if grid is not None:
        return grid[index]
    return dilation // 2 if index == 0 and contract and dilation > 1 else dilation
