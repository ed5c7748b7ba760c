"""A key layout: what one software calls the modules of a ResNeSt, and the renaming that follows from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from torch import Tensor

from resnest_mm.weights.layouts.names import BLOCK, COUNTER, NORMS, STAGES, STEM

Adapt: TypeAlias = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""Changes the values of a backbone's tensors, which have this package's names."""

WholeModel: TypeAlias = Literal['detector', 'segmentor']

SAME: Final[Mapping[str, str]] = {name: name for name in BLOCK}
"""The modules of a bottleneck under this package's names."""


@dataclass(frozen=True)
class KeyLayout:
    """What one software calls the modules of a ResNeSt.

    Args:
        name: Name in arguments and on the command line.
        title: Name in messages, to follow "the".
        stem: The convolutions and norms of the stem, in the order of `names.STEM`.
        block: The modules of a bottleneck, by this package's names.
        stages: The four stages.
        norm: Parameters of a norm that have other names than in torch, by torch's names.
        without_counters: Prefixes, in this package's names, under which the layout has no `num_batches_tracked`.
        counts_pools: Whether the average pool of a shortcut takes a number even where the stride is 1 and there is
            nothing to pool. Without it, the convolution and the norm after it are numbered one lower there.
        prefix: Prefix of the backbone's keys in the files that this software writes for a backbone.
        model_prefix: Prefix of the backbone's keys in its detectors and segmentors; None means `prefix`.
        classifier: Module of the classifier. It is outside `prefix`.
        drops: Modules to leave out.
        heads: Modules that only a detector or only a segmentor of this software has.
        entry: Entry of a checkpoint file in which this software looks for the tensors, one of `TENSOR_ENTRIES` of
            `resnest_mm.weights.io.contents`; None where the file itself is the state dict.
        aliases: Other names of this layout, from software with the same keys, and the prefix in its backbone files.
        read: Applied to tensors of this layout after renaming: makes them compute the same in this package.
        write: The opposite. Both raise `ConversionError` where no values compute the same.
    """

    name: str
    title: str
    stem: tuple[str, ...] = STEM
    block: Mapping[str, str] = field(default_factory=lambda: SAME)
    stages: tuple[str, ...] = STAGES
    norm: Mapping[str, str] = field(default_factory=dict)
    without_counters: tuple[str, ...] = ()
    counts_pools: bool = True
    prefix: str = ''
    model_prefix: str | None = None
    classifier: str | None = None
    drops: tuple[str, ...] = ()
    heads: Mapping[WholeModel, tuple[str, ...]] = field(default_factory=dict)
    entry: str | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    read: Adapt = dict
    write: Adapt = dict

    @property
    def gate(self) -> str:
        """Return the key of the first gate, which only a network with split attention has."""
        return f'{self.stages[0]}.0.{self.block["conv2.fc1"]}.weight'

    @property
    def markers(self) -> tuple[str, str, str]:
        """Return the keys by which a layout is detected: of the first convolution, first norm and first gate."""
        return f'{self.stem[0]}.weight', f'{self.stem[1]}.{self.norm.get("weight", "weight")}', self.gate

    @property
    def prefix_in_models(self) -> str:
        """Return the prefix of the backbone's keys in detectors and segmentors."""
        return self.prefix if self.model_prefix is None else self.model_prefix

    def before_model(self, prefix: str) -> str:
        """Return what is before the keys of a whole model.

        Args:
            prefix: Prefix of its backbone's keys.
        """
        return prefix.removesuffix(self.prefix_in_models)

    def classifier_modules(self, prefix: str) -> tuple[str, ...]:
        """Return the modules where a classifier can be, or what this layout drops.

        Args:
            prefix: Prefix of the backbone's keys.
        """
        names = self.drops if self.classifier is None else (self.classifier,)
        return tuple(f'{base}{name}' for base in dict.fromkeys((prefix, self.before_model(prefix))) for name in names)

    def own_keys(self, keys: Iterable[str]) -> dict[str, str | None]:
        """Return this package's name of each key, None for a key that this layout does not have.

        Args:
            keys: The keys of a backbone, without prefix.
        """
        names = list(keys)
        # Where a shortcut begins with a convolution, its numbers do not count the pool.
        first = f'.{self.block["downsample.1"].rpartition(".")[0]}.0.'
        uncounted = {key[: key.index(first)] for key in names if not self.counts_pools and first in key}
        tables = [{theirs: own for own, theirs in self._modules(pooled).items()} for pooled in (False, True)]
        in_stage = re.compile(rf'(({"|".join(map(re.escape, self.stages))})\.(0|[1-9][0-9]*))\.(.+)')
        parameters = {theirs: own for own, theirs in self.norm.items()}

        def own_key(key: str) -> str | None:
            module, _, parameter = key.rpartition('.')
            block = ''
            if module in self.stem:
                name: str | None = STEM[self.stem.index(module)]
            elif (found := in_stage.fullmatch(module)) is not None:
                name = tables[found[1] not in uncounted].get(found[4])
                block = f'{STAGES[self.stages.index(found[2])]}.{found[3]}.'
            else:
                return None
            if name is None or (name in NORMS and parameter in self.norm):  # torch's name where the layout has another
                return None
            return f'{block}{name}.{parameters.get(parameter, parameter) if name in NORMS else parameter}'

        return {key: own_key(key) for key in names}

    def foreign_key(self, key: str, *, pooled: bool = True) -> str | None:
        """Return this layout's name of a key, None where the layout does not have it.

        Args:
            key: A key of this package's backbone.
            pooled: Whether the shortcut of its stage pools, which it does where the stride is not 1.
        """
        module, _, parameter = key.rpartition('.')
        if parameter == COUNTER and key.startswith(self.without_counters):
            return None
        if module in STEM:
            name = module
            found: str | None = self.stem[STEM.index(module)]
        else:
            stage, index, name = module.split('.', 2)
            inner = self._modules(pooled).get(name)
            found = inner and f'{self.stages[STAGES.index(stage)]}.{index}.{inner}'
        parameter = self.norm.get(parameter, parameter) if name in NORMS else parameter
        return found and f'{found}.{parameter}'

    def _modules(self, pooled: bool) -> Mapping[str, str]:
        if pooled or self.counts_pools:
            return self.block
        modules = dict(self.block)
        for name in ('downsample.1', 'downsample.2'):
            shortcut, _, position = modules[name].rpartition('.')
            modules[name] = f'{shortcut}.{int(position) - 1}'
        return modules
