"""How often each class was taken for each other, pixel by pixel, and the scores that follow from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.integer[Any]]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """How well pixels were classified, from 0 to 1; NaN where a score is undefined.

    Args:
        iou: Intersection over union of each class; undefined where neither truth nor prediction has it.
        accuracy: Share of each class's pixels that were found; undefined where the truth has none.
        share: Share of the labelled pixels that belong to each class; undefined where none is labelled.

    Shape:
        - iou, accuracy, share: [classes]
    """

    iou: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    share: npt.NDArray[np.float64]
    overall: float
    """Share of the labelled pixels that were classified right: aAcc."""

    @property
    def mean_iou(self) -> float:
        """Mean over the classes that have one: mIoU."""
        return _mean(self.iou)

    @property
    def mean_accuracy(self) -> float:
        """Mean over the classes that have one: mAcc."""
        return _mean(self.accuracy)


def count_pairs(truth: Labels, prediction: Labels, *, classes: int, ignore_index: int = 255) -> Counts:
    """Return how many pixels of each true class got each predicted class; sums over images are those of all.

    Args:
        truth: Label of each pixel, from 0 to `classes` - 1, or `ignore_index`.
        prediction: Label of each pixel, from 0 to `classes` - 1.
        classes: Number of classes, at least 1.
        ignore_index: Label of the pixels that do not count.

    Shape:
        - truth, prediction: [H, W]
        - output: [true class, predicted class]

    Raises:
        ValueError: The shapes differ, or a label is none of the classes.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f'truth is {truth.shape} and prediction {prediction.shape}; both must have the same shape')
    counted = truth != ignore_index
    pairs = []
    for name, labels in (('truth', truth), ('prediction', prediction)):
        chosen = labels[counted].astype(np.int64)
        wrong = chosen[(chosen < 0) | (chosen >= classes)]
        if wrong.size:
            raise ValueError(f'{name} has label {wrong[0]}; with {classes} classes it must lie in 0..{classes - 1}')
        pairs.append(chosen)
    counts: Counts = np.bincount(pairs[0] * classes + pairs[1], minlength=classes**2).reshape(classes, classes)
    return counts


def score(counts: Counts) -> Scores:
    """Return the scores of counted pairs.

    Args:
        counts: What `count_pairs` returned, or a sum of it.

    Shape:
        - counts: [true class, predicted class]

    Source: open-mmlab/mmsegmentation@v1.2.2, mmseg/evaluation/metrics/iou_metric.py
    """
    hits = np.diag(counts)
    true, predicted = counts.sum(1), counts.sum(0)
    total = np.broadcast_to(true.sum(), true.shape)
    return Scores(
        iou=_ratio(hits, true + predicted - hits),
        accuracy=_ratio(hits, true),
        share=_ratio(true, total),
        overall=float(hits.sum() / true.sum()) if true.sum() else math.nan,
    )


def _ratio(part: Counts, whole: Counts) -> npt.NDArray[np.float64]:
    ratio: npt.NDArray[np.float64] = np.full(part.shape, math.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def _mean(values: npt.NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else math.nan
