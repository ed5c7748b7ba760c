"""Which ResNeSt a checkpoint is of, from the shapes of its tensors alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from resnest_mm.models.plan import EXPANSION
from resnest_mm.models.variants import BLOCKS_PER_STAGE, VARIANTS
from resnest_mm.weights.convert.tensors import Shape
from resnest_mm.weights.layouts.names import BLOCK, OFFSET

_NARROWEST_GATE: Final = 32
_DEFAULTS: Final = {'radix': 2, 'groups': 1, 'base_width': 64, 'base_channels': 64, 'reduction_factor': 4}
_DECISIVE: Final = ('conv1', 'conv2.conv', 'conv2.fc1', 'conv3')
"""The convolutions whose weights decide the sizes of a stage."""


@dataclass(frozen=True)
class StageSizes:
    """The sizes of one stage.

    Args:
        blocks: Number of bottlenecks.
        width: Channels between the 1x1 convolutions of a bottleneck.
        hidden: Hidden channels of the gates.
        out_channels: Output channels.
    """

    blocks: int
    width: int
    hidden: int
    out_channels: int


@dataclass(frozen=True)
class BackboneArchitecture:
    """A ResNeSt as far as shapes show it. They do not show whether the average pool is first (`avd_first`).

    Args:
        in_channels: Channels of the image.
        half_stem: Channels of the stem's first two convolutions.
        stem_channels: Output channels of the stem.
        radix: Splits in each cardinal group.
        groups: Cardinal groups.
        stages: The stages, beginning with the one of the highest resolution.
        dcn_stages: Numbers of the stages with deformable convolutions, from 1.
        plugins: Names of the modules in its bottlenecks that a plain ResNeSt does not have.
    """

    in_channels: int
    half_stem: int
    stem_channels: int
    radix: int
    groups: int
    stages: tuple[StageSizes, ...]
    dcn_stages: tuple[int, ...] = ()
    plugins: tuple[str, ...] = ()

    @property
    def blocks(self) -> tuple[int, ...]:
        """Return the number of bottlenecks in each stage."""
        return tuple(stage.blocks for stage in self.stages)

    @property
    def base_channels(self) -> int:
        """Return the width of the first stage's bottlenecks at `base_width=64` and one group."""
        return self.stages[0].out_channels // EXPANSION

    @property
    def base_width(self) -> int:
        """Return the channels of a cardinal group in a 64-channel bottleneck."""
        # From the widest stage and rounded up, because the network rounds down, which matters less in a wide stage.
        widest = self.stages[-1]
        return -(-(widest.width // self.groups) * 64 * EXPANSION // widest.out_channels)

    @property
    def reduction_factor(self) -> int | None:
        """Return the divisor of the gates' width; None where they have the smallest width in every stage."""
        wide = [stage for stage in self.stages if stage.hidden > _NARROWEST_GATE]
        return wide[-1].width * self.radix // wide[-1].hidden if wide else None

    @property
    def depths(self) -> tuple[int, ...]:
        """Return the nominal depths with these blocks: one, none, or several where stages are missing."""
        return known_depths(self.blocks)

    @property
    def variants(self) -> tuple[str, ...]:
        """Return the names of the released or documented networks with these shapes, in the order of `VARIANTS`."""
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
        """Return the arguments of `resnest_mm.ResNeSt` that give these shapes, without deformable convolutions.

        Raises:
            ValueError: If no depth has these blocks.
        """
        if not self.depths:
            raise ValueError(f'no ResNeSt has {self.blocks} blocks; the known ones are {dict(BLOCKS_PER_STAGE)}')
        if self.variants:
            arguments: dict[str, object] = {'variant': self.variants[0]}
        else:
            arguments = {'depth': self.depths[0], 'stem_channels': self.stem_channels}
            values = {name: getattr(self, name) for name in _DEFAULTS}
            arguments.update({name: v for name, v in values.items() if v not in (None, _DEFAULTS[name])})
            if len(self.blocks) != 4:
                arguments['num_stages'] = len(self.blocks)
        if self.in_channels != 3:
            arguments['in_channels'] = self.in_channels
        return arguments

    def __str__(self) -> str:
        """Return the architecture in one line."""
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


def describe_architecture(shapes: Mapping[str, Shape]) -> BackboneArchitecture:
    """Return the architecture that the shapes of a backbone's tensors show.

    The first bottleneck of each stage is looked at. Whether the others agree is for `check_backbone` to say.

    Args:
        shapes: Shape of each tensor by its name in this package, without a prefix.

    Raises:
        ValueError: If they are not of a ResNeSt in this package's layout.
    """
    architecture = find_architecture(shapes)
    if architecture is None:
        raise ValueError('the names or shapes are not those of a ResNeSt in the mmdet layout')
    return architecture


def find_architecture(shapes: Mapping[str, Shape]) -> BackboneArchitecture | None:
    """Return the architecture as `describe_architecture` does, None where the shapes are of no ResNeSt.

    Args:
        shapes: Shape of each tensor by its name in this package, without a prefix.
    """
    blocks = count_blocks(shapes)
    found = {key: shapes.get(key, ()) for key in decisive_keys(blocks)}
    if not blocks or any(len(shape) != 4 or min(shape) < 1 for shape in found.values()):
        return None
    width, splits = found['layer1.0.conv1.weight'][0], found['layer1.0.conv2.conv.weight']
    radix, branches = splits[0] // width, width // splits[1]
    if not radix or branches < radix or branches % radix or width % splits[1]:
        return None
    stages = []
    for number, count in enumerate(blocks, 1):
        reduce, _, gate, grow = (found[f'layer{number}.0.{name}.weight'] for name in _DECISIVE)
        stages.append(StageSizes(count, width=reduce[0], hidden=gate[0], out_channels=grow[0]))
    modules = [match for key in shapes if (match := re.match(r'layer([1-4])\.\d+\.(.+)\.\w+', key))]
    plain = {name.partition('.')[0] for name in BLOCK}
    return BackboneArchitecture(
        in_channels=found['stem.0.weight'][1],
        half_stem=found['stem.0.weight'][0],
        stem_channels=found['stem.6.weight'][0],
        radix=radix,
        groups=branches // radix,
        stages=tuple(stages),
        dcn_stages=tuple(sorted({int(module[1]) for module in modules if module[2] == OFFSET})),
        plugins=tuple(sorted({module[2].partition('.')[0] for module in modules} - plain)),
    )


def decisive_keys(blocks: tuple[int, ...]) -> tuple[str, ...]:
    """Return the keys whose shapes decide the architecture.

    Args:
        blocks: Number of bottlenecks in each stage.
    """
    stages = range(1, len(blocks) + 1)
    return (
        'stem.0.weight',
        'stem.6.weight',
        *(f'layer{number}.0.{name}.weight' for number in stages for name in _DECISIVE),
    )


def count_blocks(keys: Iterable[str]) -> tuple[int, ...]:
    """Return the number of different bottlenecks in each stage, up to the last stage that has any."""
    found: dict[int, set[str]] = {}
    for key in keys:
        if match := re.match(r'layer([1-4])\.(\d+)\.', key):
            found.setdefault(int(match[1]), set()).add(match[2])
    return tuple(len(found.get(stage, ())) for stage in range(1, max(found, default=0) + 1))


def known_depths(blocks: tuple[int, ...]) -> tuple[int, ...]:
    """Return the nominal depths whose first stages have these numbers of bottlenecks."""
    return tuple(depth for depth, known in BLOCKS_PER_STAGE.items() if blocks == known[: len(blocks)])
