"""A training for the tests of its numbers and of its table."""

from __future__ import annotations

import math

from resnest_mm.report.logs.run import Evaluation, Run, TrainPoint


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
