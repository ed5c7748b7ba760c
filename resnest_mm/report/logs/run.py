"""A training as its logs describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainPoint:
    """One training line of the log.

    Args:
        iteration: Iterations done, counted from 1.
        loss: Sum of all loss terms, averaged by mmengine over its window; may be NaN.
        lr: Learning rate of the first parameter group.
        seconds: Duration of one iteration, data loading included; None where it was not logged.
    """

    iteration: int
    loss: float
    lr: float
    seconds: float | None


@dataclass(frozen=True)
class Evaluation:
    """One evaluation during training.

    Args:
        iteration: Iterations done before it.
        metrics: Values in 0..1 by name, in the order of `resnest_mm.report.metrics.METRIC_NAMES`.
    """

    iteration: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """A training, sorted by iteration.

    Args:
        points: Training lines.
        evaluations: Evaluations.
        wall_seconds: Wall time from the first to the last log line, summed over the parts; None without text logs.
        parts: Runs it was merged from: 1, or more where training was resumed.
    """

    points: tuple[TrainPoint, ...]
    evaluations: tuple[Evaluation, ...]
    wall_seconds: float | None = None
    parts: int = 1
