"""The heads of detectors and segmentors as a list of layers with two names, for renaming in either direction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from resnest_mm.weights.convert.check import NORM
from resnest_mm.weights.convert.tensors import Shape, refuse
from resnest_mm.weights.layouts.names import COUNTER

Size: TypeAlias = 'int | str | tuple[int, str]'
"""A number; the name of a size, which the first layer that has it decides; or a multiple of a named size."""


@dataclass(frozen=True)
class HeadLayer:
    """A convolution or linear layer of a head, with the batch norm after it.

    Args:
        authors: Its name in the authors' software: detectron2 or PyTorch-Encoding.
        host: Its name in mmdet or mmseg.
        shape: Shape of its weight.
        bias: Whether it has a bias.
        norms: Both names of the norm after it, in the same order; None where there is no norm.
    """

    authors: str
    host: str
    shape: tuple[Size, ...]
    bias: bool = False
    norms: tuple[str, str] | None = None

    def entries(self) -> Iterator[tuple[str, str, tuple[Size, ...]]]:
        """Yield both names of each tensor, the authors' first, and its shape."""
        yield f'{self.authors}.weight', f'{self.host}.weight', self.shape
        if self.bias:
            yield f'{self.authors}.bias', f'{self.host}.bias', self.shape[:1]
        if self.norms is not None:
            authors, host = self.norms
            for name in NORM:
                yield f'{authors}.{name}', f'{host}.{name}', self.shape[:1]
            yield f'{authors}.{COUNTER}', f'{host}.{COUNTER}', ()


def rename_heads(
    tensors: Mapping[str, Tensor], layers: Iterable[HeadLayer], *, to_host: bool, subject: str, sizes: dict[str, int]
) -> dict[str, Tensor]:
    """Return the tensors of heads under their other names.

    Args:
        tensors: The tensors of the heads and no others; not modified.
        layers: All layers of the heads.
        to_host: Whether the authors' names become the host's, or the opposite.
        subject: What the tensors are of, to follow "this is no complete".
        sizes: Known sizes by name; the ones that are found are added.

    Raises:
        ConversionError: On unknown or missing keys and other shapes.
    """
    result: dict[str, Tensor] = {}
    missing: list[str] = []
    reshaped: list[str] = []
    known: set[str] = set()
    for authors, host, expected in (entry for layer in layers for entry in layer.entries()):
        source, target = (authors, host) if to_host else (host, authors)
        known.add(source)
        value = tensors.get(source)
        if value is None:
            if not source.endswith(COUNTER):
                missing.append(source)
            continue
        shape = tuple(value.shape)
        if not _fits(shape, expected, sizes):
            reshaped.append(f'{source} {shape} for {tuple(_resolved(size, sizes) for size in expected)}')
        result[target] = value
    refuse(subject, unknown=[key for key in tensors if key not in known], missing=missing, reshaped=reshaped)
    return result


def _fits(shape: Shape, expected: tuple[Size, ...], sizes: dict[str, int]) -> bool:
    """Return whether a shape is the expected one, and decide the named sizes that are not known yet."""
    if len(shape) != len(expected):
        return False
    for value, size in zip(shape, expected, strict=True):
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
