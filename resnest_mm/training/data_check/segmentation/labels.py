"""Which label a value of a map becomes in the pipeline, and which labels are classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

BYTE: Final = 255
"""Largest value that mmseg keeps: it converts maps to bytes."""


@dataclass(frozen=True, kw_only=True)
class LabelRules:
    """What the pipeline, the model and the metric do with the values of a map.

    Args:
        classes: Number of classes, at least 1; labels are 0 to `classes` - 1.
        ignored: Labels that the loss or the metric leaves out.
        reduce_zero_label: Whether 0 becomes 255 and each other value one less.
        label_map: Label by value, applied after that; None changes nothing.
        bytes_only: Whether values above 255 lose their upper bits, as in mmseg.
    """

    classes: int
    ignored: frozenset[int]
    reduce_zero_label: bool = False
    label_map: Mapping[int, int] | None = None
    bytes_only: bool = True

    def label(self, value: int) -> int:
        """Return the label that a value becomes.

        Args:
            value: A pixel of the file.
        """
        label = value % (BYTE + 1) if self.bytes_only else value
        if self.reduce_zero_label:
            label = BYTE if label in (0, BYTE) else label - 1
        return label if self.label_map is None else self.label_map.get(label, label)

    def is_class(self, label: int) -> bool:
        """Return whether a label is a class, which is learned.

        Args:
            label: A pixel as the loss gets it.
        """
        return 0 <= label < self.classes and label not in self.ignored

    @property
    def allowed(self) -> str:
        """The values that a map may hold, in words."""
        first = 1 if self.reduce_zero_label else 0
        ignored = sorted({BYTE, *self.ignored}) if self.reduce_zero_label else sorted(self.ignored)
        others = [*([0] if self.reduce_zero_label else []), *ignored]
        more = f', and {" and ".join(map(str, others))} for ignored pixels' if others else ''
        return f'{first} to {self.classes - 1 + first}{more}'
