"""Pixel counts and scores equal loops over single pixels, undefined scores are NaN, and logged scores are compared."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from resnest_mm.report.class_scores import (
    ClassScores,
    LoggedScore,
    PixelCounts,
    count_pixels,
    find_logged_score,
    score_classes,
)
from resnest_mm.report.logs.run import Evaluation, Run

pytest.importorskip('mmseg', reason='its metric counts the pixels')

Labels = npt.NDArray[np.integer[Any]]
CLASSES = 5
SCORES = ClassScores(
    iou=np.array([0.75, 0.25, math.nan]),
    accuracy=np.array([0.875, math.nan, math.nan]),
    share=np.array([0.9, 0.1, 0.0]),
    overall=0.8125,
)


def random_maps(seed: int, *, ignore_index: int, classes: int = CLASSES) -> tuple[Labels, Labels]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, (7, 9)).astype(np.uint8)
    truth[rng.random((7, 9)) < 0.2] = ignore_index
    prediction = np.where(rng.random((7, 9)) < 0.6, np.minimum(truth, classes - 1), rng.integers(0, classes, (7, 9)))
    return truth, prediction.astype(np.int64)


def pixels(truth: Labels, prediction: Labels, ignore_index: int) -> list[tuple[int, int]]:
    """Return truth and prediction of each labelled pixel."""
    return [
        (int(truth[row, column]), int(prediction[row, column]))
        for row in range(truth.shape[0])
        for column in range(truth.shape[1])
        if truth[row, column] != ignore_index
    ]


@pytest.mark.parametrize('ignore_index', [255, 2], ids=['255', 'a class'])
@pytest.mark.parametrize('classes', [CLASSES, 150, 1])
def test_counts_equal_a_loop_over_pixels(ignore_index: int, classes: int) -> None:
    truth, prediction = random_maps(0, ignore_index=ignore_index, classes=classes)
    pairs = pixels(truth, prediction, ignore_index)
    counts = count_pixels(truth, prediction, classes=classes, ignore_index=ignore_index)
    for label in range(classes):
        assert counts.intersection[label] == sum(pair == (label, label) for pair in pairs)
        assert counts.annotated[label] == sum(true == label for true, _ in pairs)
        assert counts.predicted[label] == sum(predicted == label for _, predicted in pairs)
    assert {array.dtype for array in (counts.intersection, counts.annotated, counts.predicted)} == {np.dtype(float)}


def test_a_sum_beyond_the_exact_range_of_float32_is_exact() -> None:
    """2**24 + 1 pixels of one class, as the label maps of a large data set have."""
    many, one = (PixelCounts(*(np.array([float(count), 0.0]),) * 3) for count in (2**24, 1))
    assert (many + one).annotated.tolist() == [2**24 + 1, 0]


def test_scores_equal_a_loop_over_pixels() -> None:
    """Two images, counted one by one, have the scores of all their pixels together."""
    images = [random_maps(seed, ignore_index=255) for seed in (1, 2)]
    scores = score_classes(functools.reduce(operator.add, (count_pixels(*maps, classes=CLASSES) for maps in images)))
    pairs = [pair for maps in images for pair in pixels(*maps, 255)]
    ious, accuracies = [], []
    for label in range(CLASSES):
        both = sum(true == label and predicted == label for true, predicted in pairs)
        either = sum(true == label or predicted == label for true, predicted in pairs)
        annotated = sum(true == label for true, _ in pairs)
        ious.append(both / either)
        accuracies.append(both / annotated)
        assert scores.share[label] == pytest.approx(annotated / len(pairs))
    np.testing.assert_allclose(scores.iou, ious)
    np.testing.assert_allclose(scores.accuracy, accuracies)
    assert scores.mean_iou == pytest.approx(sum(ious) / CLASSES)
    assert scores.mean_accuracy == pytest.approx(sum(accuracies) / CLASSES)
    assert scores.overall == pytest.approx(sum(true == predicted for true, predicted in pairs) / len(pairs))


def test_a_class_that_is_nowhere_is_left_out_of_the_means() -> None:
    """Class 1 is nowhere; class 2 is only predicted, so its IoU is 0 and its accuracy undefined."""
    truth = np.array([[0, 0, 0, 3]])
    prediction = np.array([[0, 0, 2, 3]])
    scores = score_classes(count_pixels(truth, prediction, classes=4))
    np.testing.assert_allclose(scores.iou, [2 / 3, math.nan, 0, 1])
    np.testing.assert_allclose(scores.accuracy, [2 / 3, math.nan, math.nan, 1])
    np.testing.assert_allclose(scores.share, [0.75, 0, 0, 0.25])
    assert scores.mean_iou == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert scores.mean_accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert scores.overall == 0.75


def test_nothing_labelled_is_undefined_and_not_zero() -> None:
    scores = score_classes(count_pixels(np.full((2, 2), 255), np.zeros((2, 2), np.int64), classes=2))
    assert np.isnan([*scores.iou, *scores.accuracy, *scores.share]).all()
    assert all(math.isnan(value) for value in (scores.overall, scores.mean_iou, scores.mean_accuracy))


@pytest.mark.parametrize(
    ('truth', 'prediction', 'message'),
    [
        ([[0, 4]], [[0, 0]], 'truth has label 4'),
        ([[0, -1]], [[0, 0]], 'truth has label -1'),
        ([[0, 1]], [[0, 7]], r'prediction has label 7; with 3 classes it must lie in 0\.\.2'),
        ([[0, 1]], [[0], [1]], 'the same shape'),
    ],
    ids=['truth', 'negative', 'prediction', 'shape'],
)
def test_labels_that_are_no_class_are_refused(
    truth: list[list[int]], prediction: list[list[int]], message: str
) -> None:
    """mmseg would leave them out without a word, so that the scores of wrong labels would look fine."""
    with pytest.raises(ValueError, match=message):
        count_pixels(np.array(truth), np.array(prediction), classes=3)


def test_an_ignored_pixel_may_have_any_prediction() -> None:
    counts = count_pixels(np.array([[255, 1]]), np.array([[255, 1]]), classes=2)
    assert counts.intersection.tolist() == counts.predicted.tolist() == counts.annotated.tolist() == [0, 1]


@pytest.mark.parametrize(
    ('value', 'same'), [(0.5009, True), (0.4991, True), (0.502, False), (0.498, False), (math.nan, False)]
)
def test_tolerance(value: float, same: bool) -> None:
    """The tolerance is less than the three digits shown and more than mmseg's rounding."""
    assert LoggedScore(200, value).agrees(SCORES) is same


@pytest.mark.parametrize(
    ('iteration', 'expected'),
    [(100, LoggedScore(100, 0.4)), (200, LoggedScore(200, 0.6)), (300, None), (150, None), (None, None)],
)
def test_only_the_evaluation_of_the_same_weights_is_compared(
    iteration: int | None, expected: LoggedScore | None
) -> None:
    evaluations = (
        Evaluation(100, {'mIoU': 0.4}),
        Evaluation(200, {'mIoU': 0.6, 'aAcc': 0.9}),
        Evaluation(300, {'aAcc': 0.9}),
    )
    assert find_logged_score(Run((), evaluations), iteration=iteration) == expected
