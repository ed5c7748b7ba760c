"""The numbers and the exact text of the table that ends a training."""

from __future__ import annotations

import json
import math

import pytest

from resnest_mm.errors import UserError
from resnest_mm.report.scalars import Evaluation, Run, TrainPoint
from resnest_mm.report.summary import render_table, summarise, to_record


def point(iteration: int, *, loss: float = 1.0, seconds: float | None = 0.5) -> TrainPoint:
    return TrainPoint(iteration, loss, 0.01, seconds)


def evaluation(iteration: int, *values: float) -> Evaluation:
    return Evaluation(iteration, dict(zip(('mAP', 'AP50', 'AP75'), values, strict=True)))


RUN = Run(
    points=(point(50, loss=math.nan, seconds=1.0), point(100, seconds=2.0)),
    evaluations=(evaluation(53, 0.25, 0.5, 0.2), evaluation(106, 0.5, 0.8, 0.45), evaluation(159, 0.5, 0.75, 0.4)),
    wall_seconds=3725.6,
    parts=2,
)


def test_numbers() -> None:
    summary = summarise(RUN)
    assert summary.last == RUN.evaluations[2]
    assert summary.best == RUN.evaluations[1], 'the earliest of equals, as mmengine keeps it'
    assert (summary.iterations, summary.seconds, summary.seconds_per_iteration) == (159, 3725.6, 1.5)
    assert (summary.parts, summary.bad_losses, summary.headline) == (2, 1, 'mAP')


def test_table() -> None:
    expected = """\
                        last       best mAP
evaluated at             159            106
mAP                    0.500          0.500
AP50                   0.750          0.800
AP75                   0.400          0.450

iterations          159 (in 2 runs, resumed)
duration            1 h 2 min 06 s (first to last log line: start-up, training, validation)
time per iteration  1.500 s (mean of the logged times, data loading included)
warning             1 logged losses are not finite
checkpoint          work/iter_159.pth"""
    assert render_table(summarise(RUN), checkpoint='work/iter_159.pth') == expected


def test_table_without_evaluation_and_logs() -> None:
    expected = """\
no evaluation logged

iterations          100
duration            1 min 15 s (training only: iterations x mean logged time; no text log found)
time per iteration  0.750 s (mean of the logged times, data loading included)"""
    run = Run(points=(point(50, seconds=0.5), point(100, seconds=1.0)), evaluations=())
    assert render_table(summarise(run)) == expected


def test_table_of_a_segmenter() -> None:
    """What its checkpoint answers stands between what was logged and the facts; mIoU decides which is the best."""
    expected = """\
                        last      best mIoU
evaluated at             200            100
mIoU                   0.400          0.500
mAcc                   0.600          0.550

disc                   0.400

iterations          200
duration            1 min 40 s (training only: iterations x mean logged time; no text log found)
time per iteration  0.500 s (mean of the logged times, data loading included)"""
    scores = (Evaluation(100, {'mIoU': 0.5, 'mAcc': 0.55}), Evaluation(200, {'mIoU': 0.4, 'mAcc': 0.6}))
    summary = summarise(Run((point(10),), scores))
    assert render_table(summary, answers='disc                   0.400') == expected


def test_nan_evaluation_is_never_the_best() -> None:
    run = Run((point(10),), (evaluation(10, math.nan, 0.0, 0.0), evaluation(20, 0.1, 0.2, 0.1)))
    best = summarise(run).best
    assert best is not None
    assert best.iteration == 20


def test_record_is_strict_json() -> None:
    run = Run((point(10),), (evaluation(20, 0.1, 0.2, math.nan),))
    record = json.loads(json.dumps(to_record(summarise(run)), allow_nan=False))
    assert record == {
        'headline': 'mAP',
        'last': {'iteration': 20, 'metrics': {'mAP': 0.1, 'AP50': 0.2, 'AP75': None}},
        'best': {'iteration': 20, 'metrics': {'mAP': 0.1, 'AP50': 0.2, 'AP75': None}},
        'iterations': 20,
        'seconds': 10.0,
        'seconds_are': 'training only: iterations x mean logged time; no text log found',
        'seconds_per_iteration': 0.5,
        'parts': 1,
        'bad_losses': 0,
    }


def test_run_without_training_is_refused() -> None:
    with pytest.raises(UserError, match='no training line'):
        summarise(Run((), (evaluation(20, 0.1, 0.2, 0.1),)))
