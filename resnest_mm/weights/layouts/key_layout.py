"""A key layout: what the modules of a ResNeSt are called in one kind of checkpoint, and renaming by it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

from torch import Tensor

from resnest_mm.weights.convert.tensors import COUNTER

Adapt: TypeAlias = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""Brings the tensors of a backbone, named as here, from one way of computing to another."""

STEM: Final = ('stem.0', 'stem.1', 'stem.3', 'stem.4', 'stem.6', 'stem.7')
STAGES: Final = ('layer1', 'layer2', 'layer3', 'layer4')
OFFSET: Final = 'conv2.conv.conv_offset'
"""The module of a bottleneck that only those with deformable convolutions have."""

SAME: Final[Mapping[str, str]] = MappingProxyType(
    {
        module: module
        for module in (
            'conv1',
            'bn1',
            'conv2.conv',
            'conv2.bn0',
            'conv2.fc1',
            'conv2.bn1',
            'conv2.fc2',
            'conv3',
            'bn3',
            'downsample.1',
            'downsample.2',
        )
    }
)
"""The modules of a bottleneck, each called as here."""

NORMS: Final = frozenset({'stem.1', 'stem.4', 'stem.7', 'bn1', 'conv2.bn0', 'conv2.bn1', 'bn3', 'downsample.2'})
"""Which modules are norms."""


@dataclass(frozen=True)
class KeyLayout:
    """What the modules of a ResNeSt are called in one kind of checkpoint.

    Args:
        name: Its name as an argument.
        title: Its name in a message, to follow "the".
        stem: The three convolutions and norms of the stem in turn, as in `STEM`.
        block: The modules of a bottleneck, by their names here.
        stages: The four stages.
        norm: Parameters of a norm that are not called as in torch, by torch's names.
        counterless: Prefixes, as here, under which the layout has no `num_batches_tracked`.
        unpooled: Whether shortcuts without stride are numbered as if they had no pool.
        prefix: What stands before a backbone's keys in the files that this layout's software writes.
        classifier: The classifier's module; where `prefix` is not empty it stands outside it.
        drops: Modules that are left out.
        read: Brings tensors, named as here already, into the form of this package.
        write: The opposite. Both raise `ConversionError` where there is no equal.
    """

    name: str
    title: str
    stem: tuple[str, ...] = STEM
    block: Mapping[str, str] = field(default_factory=lambda: SAME)
    stages: tuple[str, ...] = STAGES
    norm: Mapping[str, str] = field(default_factory=dict)
    counterless: tuple[str, ...] = ()
    unpooled: bool = False
    prefix: str = ''
    classifier: str | None = None
    drops: tuple[str, ...] = ()
    read: Adapt = dict
    write: Adapt = dict

    @property
    def markers(self) -> tuple[str, str, str]:
        """Return keys that tell this layout from the others: first convolution, first norm, first gate."""
        gate = f'{self.stages[0]}.0.{self.block["conv2.fc1"]}'
        return f'{self.stem[0]}.weight', f'{self.stem[1]}.{self.norm.get("weight", "weight")}', f'{gate}.weight'

    def own_keys(self, keys: Iterable[str]) -> dict[str, str | None]:
        """Return the name here of each key of this layout, None where it has none."""
        names = list(keys)
        first = f'.{self.block["downsample.1"].rpartition(".")[0]}.0.'
        bare = {key[: key.index(first)] for key in names if self.unpooled and first in key}
        tables = [
            {theirs: ours for ours, theirs in self._modules(unpooled=unpooled).items()} for unpooled in (False, True)
        ]
        stages = re.compile(rf'(({"|".join(map(re.escape, self.stages))})\.(0|[1-9][0-9]*))\.(.+)')
        parameters = {theirs: ours for ours, theirs in self.norm.items()}

        def own_key(key: str) -> str | None:
            module, _, parameter = key.rpartition('.')
            start = ''
            if module in self.stem:
                name: str | None = STEM[self.stem.index(module)]
            elif (found := stages.fullmatch(module)) is not None:
                name = tables[found[1] in bare].get(found[4])
                start = f'{STAGES[self.stages.index(found[2])]}.{found[3]}.'
            else:
                return None
            if name is None or (name in NORMS and parameter in self.norm):  # torch's word where the layout has another
                return None
            return f'{start}{name}.{parameters.get(parameter, parameter) if name in NORMS else parameter}'

        return {key: own_key(key) for key in names}

    def foreign_key(self, key: str, *, unpooled: bool = False) -> str | None:
        """Return this layout's name of a key that is named as here, None where it has none.

        Args:
            key: A key of this package's backbone.
            unpooled: Whether it belongs to a block whose shortcut has no stride.
        """
        module, _, parameter = key.rpartition('.')
        if parameter == COUNTER and key.startswith(self.counterless):
            return None
        if module in STEM:
            name = module
            found: str | None = self.stem[STEM.index(module)]
        else:
            stage, index, name = module.split('.', 2)
            inner = self._modules(unpooled=unpooled).get(name)
            found = inner and f'{self.stages[STAGES.index(stage)]}.{index}.{inner}'
        parameter = self.norm.get(parameter, parameter) if name in NORMS else parameter
        return found and f'{found}.{parameter}'

    def _modules(self, *, unpooled: bool) -> Mapping[str, str]:
        if not (unpooled and self.unpooled):
            return self.block
        modules = dict(self.block)
        for name in ('downsample.1', 'downsample.2'):
            shortcut, _, position = modules[name].rpartition('.')
            modules[name] = f'{shortcut}.{int(position) - 1}'
        return modules
