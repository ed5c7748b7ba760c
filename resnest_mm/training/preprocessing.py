"""Comparing the data preprocessor of a config with the mean, std and channel order that published weights need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from resnest_mm.training.pretrained import PretrainedEntry
from resnest_mm.weights.records.record import Record

TOLERANCE: Final = 0.01
"""Largest accepted difference, for values from 0 to 255: the published means of red, 123.675 and 123.68, are one
number with other roundings."""


def preprocessing_notes(entries: Iterable[PretrainedEntry]) -> list[str]:
    """Return a warning for every published weight whose mean, std or channel order a config does not follow.

    Args:
        entries: From `resnest_mm.training.pretrained.find_pretrained`.
    """
    notes = []
    for entry in entries:
        differs = None if entry.record is None else check_preprocessing(entry.preprocessor, entry.record)
        if entry.record is not None and differs is not None:
            notes.append(f'warning: {entry.preprocessor_key} does not suit {entry.key}={entry.record.name}: {differs}')
    return notes


def check_preprocessing(preprocessor: Mapping[str, Any], record: Record) -> str | None:
    """Return how a data preprocessor differs from the one that weights were trained with, or None where it does not.

    Args:
        preprocessor: Its config; without `mean` it does not normalise. Its input is BGR, as mmcv reads images.
        record: Record of the weights.
    """
    swaps = bool(preprocessor.get('bgr_to_rgb') or preprocessor.get('rgb_to_bgr'))
    order = 'RGB' if swaps else 'BGR'
    mean, std = preprocessor.get('mean'), preprocessor.get('std')
    if order == record.channel_order and _close(mean, record.mean) and _close(std, record.std):
        return None
    return (
        f'it gives {order} with mean {_shown(mean)} and std {_shown(std)}, the weights expect {record.channel_order} '
        f'with mean {_shown(record.mean)} and std {_shown(record.std)}'
    )


def _close(values: Any, expected: Sequence[float]) -> bool:
    if not isinstance(values, (list, tuple)) or len(values) != len(expected):
        return False
    return all(
        isinstance(value, (int, float)) and abs(value - wanted) <= TOLERANCE
        for value, wanted in zip(values, expected, strict=True)
    )


def _shown(values: Any) -> str:
    return str(list(values)) if isinstance(values, (list, tuple)) else str(values)
