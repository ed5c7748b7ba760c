"""Telling which network a checkpoint is of, from the shapes of its tensors alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from resnest_mm.models.plan import EXPANSION
from resnest_mm.models.variants import BLOCKS_PER_STAGE, VARIANTS
from resnest_mm.weights.convert.architecture import count_blocks, infer, known_depths
from resnest_mm.weights.convert.tensors import Shape

_NARROWEST_GATE: Final = 32
_OFFSET: Final = r'layer[1-4]\.\d+\.conv2\.conv\.conv_offset\.'
_LAYER: Final = r'layer[1-4]\.\d+\.(\w+)\.'
_PLAIN: Final = frozenset({'conv1', 'bn1', 'conv2', 'conv3', 'bn3', 'downsample'})


@dataclass(frozen=True)
class Description:
    """What the shapes say about a ResNeSt. That its average pool stands first (`avd_first`) no shape tells.

    Args:
        blocks: Bottlenecks in each stage.
        stem_channels: Output channels of the stem.
        in_channels: Channels of the image.
        base_channels: Inner channels of the first stage's bottlenecks at `base_width=64` and one group.
        radix: Splits in each cardinal group.
        groups: Cardinal groups.
        base_width: Channels of a cardinal group in a 64-channel bottleneck.
        reduction_factor: Divisor of the gate's width; None where the gate is at its narrowest in every stage.
        dcn_stages: Stages with deformable convolutions, from 1.
        plugins: Names of layers in its blocks that a plain ResNeSt does not have.
    """

    blocks: tuple[int, ...]
    stem_channels: int
    in_channels: int
    base_channels: int
    radix: int
    groups: int
    base_width: int
    reduction_factor: int | None
    dcn_stages: tuple[int, ...]
    plugins: tuple[str, ...]

    @property
    def depths(self) -> tuple[int, ...]:
        """Return the nominal depths with these blocks: one, none, or several where stages are missing."""
        return known_depths(self.blocks)

    @property
    def variants(self) -> tuple[str, ...]:
        """Return the names of the released or documented networks with these shapes, plainest first."""
        if len(self.blocks) != 4 or self.base_channels != 64 or self.reduction_factor not in (None, 4):
            return ()
        return tuple(
            name
            for name, variant in VARIANTS.items()
            if variant.depth in self.depths
            and (variant.radix, variant.groups, variant.base_width) == (self.radix, self.groups, self.base_width)
            and variant.stem_channels == self.stem_channels
        )

    @property
    def arguments(self) -> dict[str, object]:
        """Return what `resnest_mm.ResNeSt` is called with to get these shapes, without deformable convolutions.

        Raises:
            ValueError: No depth has these blocks.
        """
        if not self.depths:
            raise ValueError(f'no ResNeSt has {self.blocks} blocks; the known ones are {dict(BLOCKS_PER_STAGE)}')
        if self.variants:
            arguments: dict[str, object] = {'variant': self.variants[0]}
        else:
            arguments = {'depth': self.depths[0], 'stem_channels': self.stem_channels}
            plain = {'radix': 2, 'groups': 1, 'base_width': 64, 'base_channels': 64, 'reduction_factor': 4}
            given = {name: getattr(self, name) for name in plain}
            arguments.update({name: given[name] for name in plain if given[name] not in (None, plain[name])})
            if len(self.blocks) != 4:
                arguments['num_stages'] = len(self.blocks)
        if self.in_channels != 3:
            arguments['in_channels'] = self.in_channels
        return arguments

    def __str__(self) -> str:
        """Return the description in one line."""
        depth = ' or '.join(map(str, self.depths)) or 'unknown'
        return (
            f'depth {depth} (blocks {", ".join(map(str, self.blocks))}), radix {self.radix}, groups {self.groups}, '
            f'base width {self.base_width}, stem {self.stem_channels}'
            + (f', base channels {self.base_channels}' if self.base_channels != 64 else '')
            + (f', reduction factor {self.reduction_factor}' if self.reduction_factor not in (None, 4) else '')
            + (f', image channels {self.in_channels}' if self.in_channels != 3 else '')
            + (f', DCN in stages {", ".join(map(str, self.dcn_stages))}' if self.dcn_stages else '')
            + (f', plugins {", ".join(self.plugins)}' if self.plugins else '')
        )


def describe(shapes: Mapping[str, Shape]) -> Description:
    """Return what the shapes of a backbone's state dict say about it, as far as they agree: see `check_backbone`.

    Args:
        shapes: Shape of each tensor by its name in this package's layout, without a prefix.

    Raises:
        ValueError: They are not of a ResNeSt in this layout.
    """
    architecture = infer(shapes, count_blocks(shapes))
    if architecture is None:
        raise ValueError('the names or shapes are not those of a ResNeSt in the mmdet layout')
    radix, groups, stages = architecture.radix, architecture.groups, architecture.stages
    widest = stages[-1]
    per_group = widest.width // groups
    return Description(
        blocks=tuple(stage.blocks for stage in stages),
        stem_channels=architecture.stem_channels,
        in_channels=architecture.in_channels,
        base_channels=stages[0].out_channels // EXPANSION,
        radix=radix,
        groups=groups,
        # From the widest stage, because narrow ones lose more to rounding down; hence the rounding up.
        base_width=-(-per_group * 64 * EXPANSION // widest.out_channels),
        reduction_factor=next(
            (stage.width * radix // stage.hidden for stage in reversed(stages) if stage.hidden > _NARROWEST_GATE), None
        ),
        dcn_stages=tuple(sorted({int(name[5]) for name in shapes if re.match(_OFFSET, name)})),
        plugins=tuple(sorted({match[1] for name in shapes if (match := re.match(_LAYER, name))} - _PLAIN)),
    )
