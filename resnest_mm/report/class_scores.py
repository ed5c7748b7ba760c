"""The scores of a segmentor for each class, computed by mmseg's IoUMetric, and their comparison with the log."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from resnest_mm.annotations.annotated_image import Labels
from resnest_mm.report.logs.run import Run

TOLERANCE: Final = 1e-3
"""Largest difference between a measured and a logged mIoU, both in 0..1, that is taken for equal.

mmseg rounds to a hundredth of a percent, and a GPU adds in another order.
"""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """Numbers of pixels for each class, without ignored pixels; the counts of several images can be added.

    Args:
        intersection: Pixels of the class in both the ground truth and the prediction.
        predicted: Pixels of the class in the prediction.
        annotated: Pixels of the class in the ground truth.

    Shape:
        - intersection, predicted, annotated: [classes]
    """

    intersection: Floats
    predicted: Floats
    annotated: Floats

    def __add__(self, other: PixelCounts) -> PixelCounts:
        return PixelCounts(
            self.intersection + other.intersection,
            self.predicted + other.predicted,
            self.annotated + other.annotated,
        )


@dataclass(frozen=True)
class ClassScores:
    """The scores of a segmentor, from 0 to 1; NaN where a score is undefined.

    Args:
        iou: Intersection over union of each class; undefined where neither ground truth nor prediction has the class.
        accuracy: Share of each class's pixels that were found; undefined where the ground truth lacks the class.
        share: Share of the labelled pixels that belong to each class; undefined where no pixel is labelled.
        overall: Share of the labelled pixels that were classified correctly: aAcc.

    Shape:
        - iou, accuracy, share: [classes]
    """

    iou: Floats
    accuracy: Floats
    share: Floats
    overall: float

    @property
    def mean_iou(self) -> float:
        """Mean over the classes whose IoU is defined: mIoU."""
        return _mean(self.iou)

    @property
    def mean_accuracy(self) -> float:
        """Mean over the classes whose accuracy is defined: mAcc."""
        return _mean(self.accuracy)


@dataclass(frozen=True)
class LoggedScore:
    """The mIoU that the training logged for the same weights.

    Args:
        iteration: Iterations done before that evaluation.
        mean_iou: In 0..1.
    """

    iteration: int
    mean_iou: float

    def agrees(self, scores: ClassScores) -> bool:
        """Return whether it equals the measured mIoU within `TOLERANCE`.

        Args:
            scores: The measured scores.
        """
        return math.isclose(self.mean_iou, scores.mean_iou, rel_tol=0.0, abs_tol=TOLERANCE)


def count_pixels(truth: Labels, prediction: Labels, *, classes: int, ignore_index: int = 255) -> PixelCounts:
    """Return the pixel counts of an image.

    Args:
        truth: Label of each pixel, from 0 to `classes` - 1, or `ignore_index`.
        prediction: Label of each pixel, from 0 to `classes` - 1.
        classes: Number of classes, at least 1.
        ignore_index: Label of the ignored pixels.

    Shape:
        - truth, prediction: [H, W]

    Raises:
        ValueError: The shapes differ, or a label is none of the classes. mmseg would leave such a pixel out.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f'truth is {truth.shape} and prediction {prediction.shape}; both must have the same shape')
    labelled = truth != ignore_index
    for name, labels in (('truth', truth[labelled]), ('prediction', prediction[labelled])):
        wrong = labels[(labels < 0) | (labels >= classes)]
        if wrong.size:
            raise ValueError(f'{name} has label {wrong[0]}; with {classes} classes it must lie in 0..{classes - 1}')
    maps = (torch.from_numpy(labels.astype(np.int64)) for labels in (prediction, truth))
    intersection, _, predicted, annotated = _iou_metric().intersect_and_union(*maps, classes, ignore_index)
    # mmseg counts in float32, which is exact for an image but not for the sum over a split.
    return PixelCounts(*(count.double().numpy() for count in (intersection, predicted, annotated)))


def score_classes(counts: PixelCounts) -> ClassScores:
    """Return the scores that follow from pixel counts.

    Args:
        counts: The counts of one image, or their sum over several.
    """
    areas = (counts.intersection, counts.predicted + counts.annotated - counts.intersection)
    tensors = (torch.from_numpy(area) for area in (*areas, counts.predicted, counts.annotated))
    found = _iou_metric().total_area_to_metrics(*tensors)
    with np.errstate(invalid='ignore'):
        share = counts.annotated / counts.annotated.sum()
    return ClassScores(found['IoU'], found['Acc'], share, float(found['aAcc']))


def find_logged_score(run: Run, *, iteration: int | None) -> LoggedScore | None:
    """Return the mIoU that the training logged after an iteration, or None where it did not evaluate there.

    Args:
        run: The training.
        iteration: Iterations that the weights were trained; None where that is not known.
    """
    values = [
        item.metrics['mIoU'] for item in run.evaluations if item.iteration == iteration and 'mIoU' in item.metrics
    ]
    return LoggedScore(iteration, values[-1]) if iteration is not None and values else None


def _iou_metric() -> Any:
    from mmengine.registry import METRICS

    return METRICS.get('mmseg.IoUMetric')


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else math.nan
