"""The classes in the label maps of training and validation side by side."""

from __future__ import annotations

from collections.abc import Sequence

from resnest_mm.training.data_check.finding import Finding, tallied
from resnest_mm.training.data_check.source import Source


def check_splits(read: Sequence[tuple[Source, Sequence[int] | None]]) -> list[Finding]:
    """Return classes that are measured but not in the training maps.

    Args:
        read: Every data set with the classes that its label maps hold; None where not all maps were read, or none.
    """
    trained = [labels for source, labels in read if source.split == 'train']
    learned = {label for labels in trained for label in labels or ()}
    if not learned or None in trained:
        return []
    findings = []
    for source, labels in read:
        new = [label for label in labels or () if label not in learned]
        names = [f'{label} {source.names[label]}' if label < len(source.names) else str(label) for label in new]
        what = 'classes of its label maps are in no label map of the training'
        findings += tallied(source.key, 'warning', what, names, remedy='they cannot be learned')
    return findings
