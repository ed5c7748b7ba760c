"""Heads of whole models as a list of layers that is read in either direction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from resnest_mm.weights.convert.tensors import Shape, refuse
from resnest_mm.weights.layouts.names import COUNTER

Size: TypeAlias = 'int | str | tuple[int, str]'
"""A number, the name of one that the first layer with it decides, or a multiple of a named one."""


@dataclass(frozen=True)
class Part:
    """A convolution or linear layer of a head, and the batch norm behind it.

    Args:
        theirs: Its name in the other software.
        ours: Its name in mmdet or mmseg.
        shape: Shape of its weight.
        bias: Whether it has a bias.
        norms: Names of the norm behind it, theirs and ours.
    """

    theirs: str
    ours: str
    shape: tuple[Size, ...]
    bias: bool = False
    norms: tuple[str, str] | None = None

    def entries(self) -> Iterator[tuple[str, str, tuple[Size, ...]]]:
        """Yield every key, theirs and ours, with its shape."""
        yield f'{self.theirs}.weight', f'{self.ours}.weight', self.shape
        if self.bias:
            yield f'{self.theirs}.bias', f'{self.ours}.bias', self.shape[:1]
        if self.norms is not None:
            theirs, ours = self.norms
            for name in ('weight', 'bias', 'running_mean', 'running_var'):
                yield f'{theirs}.{name}', f'{ours}.{name}', self.shape[:1]
            yield f'{theirs}.{COUNTER}', f'{ours}.{COUNTER}', ()


def rename_parts(
    tensors: Mapping[str, Tensor], parts: Iterable[Part], *, to_ours: bool, subject: str, sizes: dict[str, int]
) -> dict[str, Tensor]:
    """Return the tensors of heads under their other names.

    Args:
        tensors: The heads, nothing else.
        parts: All their layers.
        to_ours: Whether the tensors have their names and are to get ours, instead of the opposite.
        subject: What they are of, for a message.
        sizes: Sizes known by name; those found are added.

    Raises:
        ConversionError: On unknown or missing keys and other shapes.
    """
    result: dict[str, Tensor] = {}
    missing: list[str] = []
    reshaped: list[str] = []
    known: set[str] = set()
    for theirs, ours, wanted in (entry for part in parts for entry in part.entries()):
        source, target = (theirs, ours) if to_ours else (ours, theirs)
        known.add(source)
        value = tensors.get(source)
        if value is None:
            if not source.endswith(COUNTER):
                missing.append(source)
            continue
        shape = tuple(value.shape)
        if not _fits(shape, wanted, sizes):
            reshaped.append(f'{source} {shape} for {tuple(_resolved(size, sizes) for size in wanted)}')
        result[target] = value
    refuse(subject, unknown=[key for key in tensors if key not in known], missing=missing, reshaped=reshaped)
    return result


def _fits(shape: Shape, wanted: tuple[Size, ...], sizes: dict[str, int]) -> bool:
    if len(shape) != len(wanted):
        return False
    for value, size in zip(shape, wanted, strict=True):
        factor, name = size if isinstance(size, tuple) else (1, size)
        if isinstance(name, str) and name not in sizes and value % factor == 0:
            sizes[name] = value // factor
        if value != _resolved(size, sizes):
            return False
    return True


def _resolved(size: Size, sizes: Mapping[str, int]) -> int | str:
    factor, name = size if isinstance(size, tuple) else (1, size)
    if isinstance(name, int):
        return name
    return factor * sizes[name] if name in sizes else f'{factor} * {name}'
