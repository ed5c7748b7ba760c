"""What a backbone's shapes say it is, and every key and shape that it then has to have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from resnest_mm.models.variants import BLOCKS_PER_STAGE
from resnest_mm.weights.convert.tensors import Shape
from resnest_mm.weights.layouts.names import COUNTER, OFFSET

_NORM = ('weight', 'bias', 'running_mean', 'running_var')
_ANCHORS = ('conv1', 'conv2.conv', 'conv2.fc1', 'conv3')


@dataclass(frozen=True)
class StageShape:
    """One stage.

    Args:
        blocks: Bottlenecks.
        width: Channels between their 1x1 convolutions.
        hidden: Hidden channels of their gates.
        out_channels: Output channels.
    """

    blocks: int
    width: int
    hidden: int
    out_channels: int


@dataclass(frozen=True)
class Architecture:
    """A backbone, as far as its shapes tell.

    Args:
        in_channels: Channels of the image.
        half_stem: Channels of the stem's first two convolutions.
        stem_channels: Output channels of the stem.
        radix: Splits in each cardinal group.
        groups: Cardinal groups.
        stages: The stages from the image's side.
    """

    in_channels: int
    half_stem: int
    stem_channels: int
    radix: int
    groups: int
    stages: tuple[StageShape, ...]

    def shapes(self) -> Iterator[tuple[str, Shape]]:
        """Yield every key without batch counters and offsets, named as in this package, with its shape."""
        half, full = self.half_stem, self.stem_channels
        for conv, norm, shape in (
            ('stem.0', 'stem.1', (half, self.in_channels, 3, 3)),
            ('stem.3', 'stem.4', (half, half, 3, 3)),
            ('stem.6', 'stem.7', (full, half, 3, 3)),
        ):
            yield f'{conv}.weight', shape
            yield from _norm(norm, shape[0])
        channels = full
        for number, stage in enumerate(self.stages, 1):
            for index in range(stage.blocks):
                yield from self._block(f'layer{number}.{index}', stage, channels, shortcut=index == 0)
                channels = stage.out_channels

    def _block(self, name: str, stage: StageShape, channels: int, *, shortcut: bool) -> Iterator[tuple[str, Shape]]:
        width, hidden, splits = stage.width, stage.hidden, stage.width * self.radix
        yield f'{name}.conv1.weight', (width, channels, 1, 1)
        yield from _norm(f'{name}.bn1', width)
        yield f'{name}.conv2.conv.weight', (splits, width // (self.groups * self.radix), 3, 3)
        yield from _norm(f'{name}.conv2.bn0', splits)
        yield f'{name}.conv2.fc1.weight', (hidden, width // self.groups, 1, 1)
        yield f'{name}.conv2.fc1.bias', (hidden,)
        yield from _norm(f'{name}.conv2.bn1', hidden)
        yield f'{name}.conv2.fc2.weight', (splits, hidden // self.groups, 1, 1)
        yield f'{name}.conv2.fc2.bias', (splits,)
        yield f'{name}.conv3.weight', (stage.out_channels, width, 1, 1)
        yield from _norm(f'{name}.bn3', stage.out_channels)
        if shortcut:
            yield f'{name}.downsample.1.weight', (stage.out_channels, channels, 1, 1)
            yield from _norm(f'{name}.downsample.2', stage.out_channels)


@dataclass(frozen=True)
class Findings:
    """What is wrong with a backbone's keys, all named as in this package."""

    unknown: tuple[str, ...]
    missing: tuple[str, ...]
    reshaped: tuple[str, ...]
    architecture: Architecture | None


def check_backbone(shapes: Mapping[str, Shape]) -> Findings:
    """Return what a backbone's keys and shapes lack.

    Batch counters may be missing. A block may have deformable offsets. The number of blocks is taken from the keys, so
    that a checkpoint without its last block is a shallower network; see `known_depths`.

    Args:
        shapes: Shape of each tensor, named as in this package.
    """
    blocks = count_blocks(shapes)
    wanted = [name for name, _ in _nominal(blocks).shapes()]
    missing = [name for name in wanted if name not in shapes]
    counters = {f'{name.removesuffix("running_var")}{COUNTER}': () for name in wanted if name.endswith('.running_var')}
    built = {_block_of(name) for name in wanted}
    offsets = [key for key in shapes if _is_offset_key(key) and _block_of(key) in built]
    known = {*wanted, *counters, *offsets}
    unknown = tuple(key for key in shapes if key not in known)
    architecture = infer(shapes, blocks)
    expected: dict[str, Shape] = {**(dict(architecture.shapes()) if architecture else {}), **counters}
    reshaped = [
        f'{key} {shapes[key]} for {shape}' for key, shape in expected.items() if key in shapes and shapes[key] != shape
    ]
    if architecture is None and not set(_anchors(blocks)) - set(shapes):
        reshaped += [f'{key} {shapes[key]}, which fit no split attention' for key in _anchors(blocks)]
    for module in sorted({key.rpartition('.')[0] for key in offsets}):
        weight, bias = shapes.get(f'{module}.weight'), shapes.get(f'{module}.bias')
        if weight is None or bias is None:
            missing.append(f'{module}.{"weight" if weight is None else "bias"}')
        elif architecture and not _is_offset(weight, bias, _width(module, architecture)):
            reshaped.append(f'{module}.weight {weight} with bias {bias}, which predict no offsets')
    return Findings(unknown, tuple(missing), tuple(reshaped), architecture)


def infer(shapes: Mapping[str, Shape], blocks: tuple[int, ...]) -> Architecture | None:
    """Return the architecture that the first blocks' shapes mean, None where they mean none.

    Args:
        shapes: Shape of each tensor, named as in this package.
        blocks: Bottlenecks in each stage.
    """
    found = {key: shapes.get(key, ()) for key in _anchors(blocks)}
    if not blocks or any(len(shape) != 4 or min(shape) < 1 for shape in found.values()):
        return None
    width, splits = found['layer1.0.conv1.weight'][0], found['layer1.0.conv2.conv.weight']
    radix, branches = splits[0] // width, width // splits[1]
    if not radix or branches < radix or branches % radix or width % splits[1]:
        return None
    stages = []
    for number, count in enumerate(blocks, 1):
        reduce, _, gate, grow = (found[f'layer{number}.0.{name}.weight'] for name in _ANCHORS)
        stages.append(StageShape(count, width=reduce[0], hidden=gate[0], out_channels=grow[0]))
    return Architecture(
        in_channels=found['stem.0.weight'][1],
        half_stem=found['stem.0.weight'][0],
        stem_channels=found['stem.6.weight'][0],
        radix=radix,
        groups=branches // radix,
        stages=tuple(stages),
    )


def count_blocks(keys: Iterable[str]) -> tuple[int, ...]:
    """Return how many different bottlenecks each stage has, up to the last stage that has any."""
    found: dict[int, set[str]] = {}
    for key in keys:
        if match := re.match(r'layer([1-4])\.(\d+)\.', key):
            found.setdefault(int(match[1]), set()).add(match[2])
    return tuple(len(found.get(stage, ())) for stage in range(1, max(found, default=0) + 1))


def known_depths(blocks: tuple[int, ...]) -> tuple[int, ...]:
    """Return the nominal depths whose stages begin with these numbers of bottlenecks."""
    return tuple(depth for depth, known in BLOCKS_PER_STAGE.items() if blocks == known[: len(blocks)])


def _nominal(blocks: tuple[int, ...]) -> Architecture:
    """Return an architecture for the sake of its keys only."""
    return Architecture(1, 1, 1, 1, 1, tuple(StageShape(max(count, 1), 1, 1, 1) for count in blocks))


def _anchors(blocks: tuple[int, ...]) -> tuple[str, ...]:
    stages = range(1, len(blocks) + 1)
    return (
        'stem.0.weight',
        'stem.6.weight',
        *(f'layer{number}.0.{name}.weight' for number in stages for name in _ANCHORS),
    )


def _norm(name: str, channels: int) -> Iterator[tuple[str, Shape]]:
    return ((f'{name}.{parameter}', (channels,)) for parameter in _NORM)


def _is_offset_key(key: str) -> bool:
    return key.endswith((f'.{OFFSET}.weight', f'.{OFFSET}.bias'))


def _block_of(key: str) -> str:
    return '.'.join(key.split('.')[:2])


def _width(module: str, architecture: Architecture) -> int:
    number = int(module[len('layer')]) - 1
    return architecture.stages[number].width


def _is_offset(weight: Shape, bias: Shape, width: int) -> bool:
    if len(weight) != 4 or min(weight) < 1 or weight[2:] != (3, 3) or bias != weight[:1] or width % weight[1]:
        return False
    return weight[0] % 9 == 0 and weight[0] % (width // weight[1]) == 0
