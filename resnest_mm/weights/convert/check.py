"""Before a conversion: whether the keys and shapes of a checkpoint are those of a complete backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from resnest_mm.weights.convert.architecture import (
    BackboneArchitecture,
    StageSizes,
    count_blocks,
    decisive_keys,
    find_architecture,
)
from resnest_mm.weights.convert.tensors import Shape
from resnest_mm.weights.layouts.names import COUNTER, OFFSET

NORM: Final = ('weight', 'bias', 'running_mean', 'running_var')
"""The tensors of a batch norm, except for its counter."""


@dataclass(frozen=True)
class KeyProblems:
    """What is wrong with the keys of a backbone, which are named as in this package.

    Args:
        unknown: Keys that no backbone has.
        missing: Keys that the backbone needs.
        reshaped: Keys of another shape, with both shapes.
        architecture: What the shapes show, None where they are of no ResNeSt.
    """

    unknown: tuple[str, ...]
    missing: tuple[str, ...]
    reshaped: tuple[str, ...]
    architecture: BackboneArchitecture | None


def check_backbone(shapes: Mapping[str, Shape]) -> KeyProblems:
    """Return what is wrong with the keys and shapes of a backbone.

    The counters of norms may be missing, and a bottleneck may predict offsets. The number of bottlenecks is taken from
    the keys: without its last bottleneck a network is a shallower one, see `known_depths`.

    Args:
        shapes: Shape of each tensor by its name in this package, without a prefix.
    """
    blocks = count_blocks(shapes)
    needed = [key for key, _ in expected_shapes(_with_blocks(blocks))]
    missing = [key for key in needed if key not in shapes]
    counters = {f'{key.removesuffix("running_var")}{COUNTER}': () for key in needed if key.endswith('.running_var')}
    in_blocks = {_block_of(key) for key in needed}
    offsets = [
        key for key in shapes if key.endswith((f'.{OFFSET}.weight', f'.{OFFSET}.bias')) and _block_of(key) in in_blocks
    ]
    known = {*needed, *counters, *offsets}
    architecture = find_architecture(shapes)
    expected: dict[str, Shape] = {**(dict(expected_shapes(architecture)) if architecture else {}), **counters}
    reshaped = [
        f'{key} {shapes[key]} for {shape}' for key, shape in expected.items() if key in shapes and shapes[key] != shape
    ]
    if architecture is None and not set(decisive_keys(blocks)) - set(shapes):
        reshaped += [f'{key} {shapes[key]}, which fit no split attention' for key in decisive_keys(blocks)]
    for module in sorted({key.rpartition('.')[0] for key in offsets}):
        weight, bias = shapes.get(f'{module}.weight'), shapes.get(f'{module}.bias')
        if weight is None or bias is None:
            missing.append(f'{module}.{"weight" if weight is None else "bias"}')
        elif architecture and not _predicts_offsets(weight, bias, _width(module, architecture)):
            reshaped.append(f'{module}.weight {weight} with bias {bias}, which predict no offsets')
    unknown = tuple(key for key in shapes if key not in known)
    return KeyProblems(unknown, tuple(missing), tuple(reshaped), architecture)


def expected_shapes(architecture: BackboneArchitecture) -> Iterator[tuple[str, Shape]]:
    """Yield each key and shape that a backbone needs: all but the counters of norms and the offsets.

    Args:
        architecture: Its architecture.
    """
    half, full = architecture.half_stem, architecture.stem_channels
    for conv, norm, shape in (
        ('stem.0', 'stem.1', (half, architecture.in_channels, 3, 3)),
        ('stem.3', 'stem.4', (half, half, 3, 3)),
        ('stem.6', 'stem.7', (full, half, 3, 3)),
    ):
        yield f'{conv}.weight', shape
        yield from _norm(norm, shape[0])
    channels = full
    for number, stage in enumerate(architecture.stages, 1):
        for index in range(stage.blocks):
            yield from _bottleneck(f'layer{number}.{index}', architecture, stage, channels, shortcut=index == 0)
            channels = stage.out_channels


def _bottleneck(
    name: str, architecture: BackboneArchitecture, stage: StageSizes, channels: int, *, shortcut: bool
) -> Iterator[tuple[str, Shape]]:
    radix, groups = architecture.radix, architecture.groups
    width, hidden, splits = stage.width, stage.hidden, stage.width * radix
    yield f'{name}.conv1.weight', (width, channels, 1, 1)
    yield from _norm(f'{name}.bn1', width)
    yield f'{name}.conv2.conv.weight', (splits, width // (groups * radix), 3, 3)
    yield from _norm(f'{name}.conv2.bn0', splits)
    yield f'{name}.conv2.fc1.weight', (hidden, width // groups, 1, 1)
    yield f'{name}.conv2.fc1.bias', (hidden,)
    yield from _norm(f'{name}.conv2.bn1', hidden)
    yield f'{name}.conv2.fc2.weight', (splits, hidden // groups, 1, 1)
    yield f'{name}.conv2.fc2.bias', (splits,)
    yield f'{name}.conv3.weight', (stage.out_channels, width, 1, 1)
    yield from _norm(f'{name}.bn3', stage.out_channels)
    if shortcut:
        yield f'{name}.downsample.1.weight', (stage.out_channels, channels, 1, 1)
        yield from _norm(f'{name}.downsample.2', stage.out_channels)


def _norm(name: str, channels: int) -> Iterator[tuple[str, Shape]]:
    return ((f'{name}.{parameter}', (channels,)) for parameter in NORM)


def _with_blocks(blocks: tuple[int, ...]) -> BackboneArchitecture:
    """Return an architecture with all sizes 1, of which only the keys are used."""
    return BackboneArchitecture(1, 1, 1, 1, 1, tuple(StageSizes(max(count, 1), 1, 1, 1) for count in blocks))


def _block_of(key: str) -> str:
    return '.'.join(key.split('.')[:2])


def _width(module: str, architecture: BackboneArchitecture) -> int:
    return architecture.stages[int(module[len('layer')]) - 1].width


def _predicts_offsets(weight: Shape, bias: Shape, width: int) -> bool:
    """Return whether the shapes are of a 3x3 convolution that predicts offsets in a bottleneck of this width."""
    if len(weight) != 4 or min(weight) < 1 or weight[2:] != (3, 3) or bias != weight[:1] or width % weight[1]:
        return False
    return weight[0] % 9 == 0 and weight[0] % (width // weight[1]) == 0
