"""Image files that stand in the training and in the validation or test."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from resnest_mm.training.data_check.finding import Finding, tallied
from resnest_mm.training.data_check.source import ImageEntry, Source


def check_overlap(images: Sequence[tuple[Source, Sequence[ImageEntry]]]) -> list[Finding]:
    """Return the data sets for validation and test that share image files with those for training.

    Args:
        images: The data sets and their images.
    """
    learned: Mapping[str, str] = {
        os.path.normpath(entry.path): source.key
        for source, entries in images
        if source.split == 'train'
        for entry in entries
    }
    findings: list[Finding] = []
    for source, entries in images:
        if source.split != 'train':
            shared = (entry.path for entry in entries if os.path.normpath(entry.path) in learned)
            what = 'images are also in the training data, so the score says little about new images'
            findings += tallied(source.key, 'warning', what, shared, total=len(entries))
    return findings
