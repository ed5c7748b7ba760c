"""The numbers of a training: last and best evaluation, iterations, duration."""

from __future__ import annotations

import math

import pytest

from resnest_mm.errors import UserError
from resnest_mm.report.logs.run import Evaluation, Run
from resnest_mm.report.summary import summarise
from tests.report.runs import RUN, evaluation, point


def test_numbers() -> None:
    summary = summarise(RUN)
    assert summary.last == RUN.evaluations[2]
    assert summary.best == RUN.evaluations[1], 'the earliest of equals, as mmengine keeps it'
    assert (summary.iterations, summary.seconds, summary.seconds_per_iteration) == (159, 3725.6, 1.5)
    assert (summary.parts, summary.bad_losses, summary.first_bad_loss, summary.headline) == (2, 1, 50, 'mAP')


def test_pq_decides_on_the_best_panoptic_evaluation() -> None:
    """A panoptic model also logs the AP of its boxes and masks."""
    values = ((10, {'PQ': 0.4, 'mAP': 0.3}), (20, {'PQ': 0.3, 'mAP': 0.4}))
    summary = summarise(Run((point(10),), tuple(Evaluation(*item) for item in values)))
    assert summary.headline == 'PQ'
    assert summary.best is not None and summary.best.iteration == 10


def test_nan_evaluation_is_never_the_best() -> None:
    run = Run((point(10),), (evaluation(10, math.nan, 0.0, 0.0), evaluation(20, 0.1, 0.2, 0.1)))
    best = summarise(run).best
    assert best is not None
    assert best.iteration == 20


def test_run_without_training_is_refused() -> None:
    with pytest.raises(UserError, match='no training line'):
        summarise(Run((), (evaluation(20, 0.1, 0.2, 0.1),)))
