"""Counts and scores against loops over single pixels, and what is undefined stays so."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from resnest_mm.report.confusion import count_pairs, score

Labels = npt.NDArray[np.integer[Any]]
CLASSES = 5


def random_maps(seed: int, *, ignore_index: int, classes: int = CLASSES) -> tuple[Labels, Labels]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, (7, 9)).astype(np.uint8)
    truth[rng.random((7, 9)) < 0.2] = ignore_index
    prediction = np.where(rng.random((7, 9)) < 0.6, np.minimum(truth, classes - 1), rng.integers(0, classes, (7, 9)))
    return truth, prediction.astype(np.int64)


def pixels(truth: Labels, prediction: Labels, ignore_index: int) -> list[tuple[int, int]]:
    """Return the pairs that count, one by one."""
    return [
        (int(truth[row, column]), int(prediction[row, column]))
        for row in range(truth.shape[0])
        for column in range(truth.shape[1])
        if truth[row, column] != ignore_index
    ]


@pytest.mark.parametrize('ignore_index', [255, 2], ids=['255', 'a class'])
def test_counts_equal_a_loop_over_pixels(ignore_index: int) -> None:
    truth, prediction = random_maps(0, ignore_index=ignore_index)
    expected = [[0] * CLASSES for _ in range(CLASSES)]
    for true, predicted in pixels(truth, prediction, ignore_index):
        expected[true][predicted] += 1
    counts = count_pairs(truth, prediction, classes=CLASSES, ignore_index=ignore_index)
    assert counts.tolist() == expected
    assert counts.dtype == np.int64


def test_scores_equal_a_loop_over_pixels() -> None:
    """Two images, counted one by one, have the scores of all their pixels together."""
    images = [random_maps(seed, ignore_index=255) for seed in (1, 2)]
    scores = score(sum(count_pairs(*maps, classes=CLASSES) for maps in images))
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
    scores = score(count_pairs(truth, prediction, classes=4))
    np.testing.assert_allclose(scores.iou, [2 / 3, math.nan, 0, 1])
    np.testing.assert_allclose(scores.accuracy, [2 / 3, math.nan, math.nan, 1])
    np.testing.assert_allclose(scores.share, [0.75, 0, 0, 0.25])
    assert scores.mean_iou == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert scores.mean_accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert scores.overall == 0.75


def test_nothing_labelled_is_undefined_and_not_zero() -> None:
    scores = score(count_pairs(np.full((2, 2), 255), np.zeros((2, 2), np.int64), classes=2))
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
    """They would be counted as another class otherwise."""
    with pytest.raises(ValueError, match=message):
        count_pairs(np.array(truth), np.array(prediction), classes=3)


def test_a_prediction_where_nothing_counts_may_be_anything() -> None:
    counts = count_pairs(np.array([[255, 1]]), np.array([[255, 1]]), classes=2)
    assert counts.tolist() == [[0, 0], [0, 1]]
