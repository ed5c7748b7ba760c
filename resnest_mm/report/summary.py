"""A training in a dozen numbers: last and best evaluation, iterations, duration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from resnest_mm.errors import UserError
from resnest_mm.report.logs.run import Evaluation, Run
from resnest_mm.report.metrics import HEADLINES

_LOGGED: Final = 'first to last log line: start-up, training, validation'
_ESTIMATED: Final = 'training only: iterations x mean logged time; no text log found'


@dataclass(frozen=True)
class Summary:
    """A training in a dozen numbers.

    Args:
        last: The last evaluation; None where there was none.
        best: The evaluation with the highest headline metric, the earliest of equals; None where there was none.
        headline: Name of that metric; None where there was none.
        iterations: Iterations done, as far as logged.
        seconds: Duration, measured as `seconds_are` says; None where the logs lack it.
        seconds_are: The parts of the training that `seconds` includes.
        seconds_per_iteration: Mean of the logged iteration times, data loading included; None where none was logged.
        parts: Runs the training consists of; more than 1 where it was resumed.
        bad_losses: Logged losses that are not finite.
        first_bad_loss: Iteration of the first of them; None where all are finite.
    """

    last: Evaluation | None
    best: Evaluation | None
    headline: str | None
    iterations: int
    seconds: float | None
    seconds_are: str
    seconds_per_iteration: float | None
    parts: int
    bad_losses: int
    first_bad_loss: int | None


def summarise(run: Run) -> Summary:
    """Return a training in a dozen numbers.

    Args:
        run: A training with at least one training line.

    Raises:
        UserError: The run has no training line.
    """
    if not run.points:
        raise UserError('the run has no training line; give one that has trained')
    last = run.evaluations[-1] if run.evaluations else None
    headline = next((name for name in HEADLINES if last and name in last.metrics), None)
    times = [point.seconds for point in run.points if point.seconds is not None and math.isfinite(point.seconds)]
    mean_time = sum(times) / len(times) if times else None
    iterations = max(run.points[-1].iteration, last.iteration if last else 0)
    seconds, seconds_are = run.wall_seconds, _LOGGED
    if seconds is None:
        seconds, seconds_are = (None if mean_time is None else iterations * mean_time), _ESTIMATED
    bad = [point.iteration for point in run.points if not math.isfinite(point.loss)]
    return Summary(
        last=last,
        best=_best(run, headline),
        headline=headline,
        iterations=iterations,
        seconds=seconds,
        seconds_are=seconds_are,
        seconds_per_iteration=mean_time,
        parts=run.parts,
        bad_losses=len(bad),
        first_bad_loss=min(bad, default=None),
    )


def _best(run: Run, headline: str | None) -> Evaluation | None:
    if headline is None:
        return run.evaluations[-1] if run.evaluations else None
    return max(run.evaluations, key=lambda evaluation: _score(evaluation, headline))


def _score(evaluation: Evaluation, name: str) -> float:
    value = evaluation.metrics.get(name, math.nan)
    return value if math.isfinite(value) else -math.inf
