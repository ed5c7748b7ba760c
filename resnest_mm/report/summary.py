"""A training in a dozen numbers, as a table for people and as a record for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from resnest_mm.errors import UserError
from resnest_mm.report.scalars import Evaluation, Run

# The first of these that a training logs decides which evaluation is the best.
HEADLINES: Final = ('mAP', 'mask mAP', 'mIoU')
_LOGGED: Final = 'first to last log line: start-up, training, validation'
_ESTIMATED: Final = 'training only: iterations x mean logged time; no text log found'


@dataclass(frozen=True)
class Summary:
    """What a training came to.

    Args:
        last: The last evaluation; None where there was none.
        best: The evaluation with the highest headline metric, the earliest of equals; None where there was none.
        headline: Name of that metric; None where there was none.
        iterations: Iterations done, as far as logged.
        seconds: Duration, measured as `seconds_are` says; None where nothing tells it.
        seconds_are: What `seconds` includes.
        seconds_per_iteration: Mean of the logged iteration times, data loading included; None where none was logged.
        parts: Runs the training consists of; more than 1 where it was resumed.
        bad_losses: Logged losses that are not finite.
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


def summarise(run: Run) -> Summary:
    """Return what a training came to.

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
    return Summary(
        last=last,
        best=_best(run, headline),
        headline=headline,
        iterations=iterations,
        seconds=seconds,
        seconds_are=seconds_are,
        seconds_per_iteration=mean_time,
        parts=run.parts,
        bad_losses=sum(not math.isfinite(point.loss) for point in run.points),
    )


def render_table(summary: Summary, *, checkpoint: str | None = None, answers: str | None = None) -> str:
    """Return the summary as aligned plain text, without a newline at the end.

    Args:
        summary: What the training came to.
        checkpoint: The checkpoint that belongs to it.
        answers: Lines on what that checkpoint answers; they follow the evaluations.
    """
    lines: list[str] = []
    if summary.last and summary.best:
        best = f'best {summary.headline}' if summary.headline else 'last'
        lines += [f'{"":<20}{"last":>8}{best:>15}', _row('evaluated at', summary.last, summary.best)]
        lines += [_row(name, summary.last, summary.best) for name in summary.last.metrics]
    else:
        lines += ['no evaluation logged']
    lines += ['', answers] if answers else []
    facts = {'iterations': _parts(summary), 'duration': _duration(summary), 'time per iteration': _pace(summary)}
    if summary.bad_losses:
        facts['warning'] = f'{summary.bad_losses} logged losses are not finite'
    if checkpoint:
        facts['checkpoint'] = checkpoint
    return '\n'.join([*lines, '', *(f'{name:<20}{value}' for name, value in facts.items())])


def to_record(summary: Summary) -> dict[str, object]:
    """Return the summary as plain values that strict JSON can hold; what is not finite becomes None.

    Args:
        summary: What the training came to.
    """
    return {
        'headline': summary.headline,
        'last': _plain(summary.last),
        'best': _plain(summary.best),
        'iterations': summary.iterations,
        'seconds': summary.seconds,
        'seconds_are': summary.seconds_are,
        'seconds_per_iteration': summary.seconds_per_iteration,
        'parts': summary.parts,
        'bad_losses': summary.bad_losses,
    }


def _best(run: Run, headline: str | None) -> Evaluation | None:
    if headline is None:
        return run.evaluations[-1] if run.evaluations else None
    return max(run.evaluations, key=lambda evaluation: _score(evaluation, headline))


def _score(evaluation: Evaluation, name: str) -> float:
    value = evaluation.metrics.get(name, math.nan)
    return value if math.isfinite(value) else -math.inf


def _row(name: str, last: Evaluation, best: Evaluation) -> str:
    cells = [str(item.iteration) if name == 'evaluated at' else _value(item.metrics.get(name)) for item in (last, best)]
    return f'{name:<20}{cells[0]:>8}{cells[1]:>15}'


def _value(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'


def _parts(summary: Summary) -> str:
    return f'{summary.iterations}' + (f' (in {summary.parts} runs, resumed)' if summary.parts > 1 else '')


def _duration(summary: Summary) -> str:
    if summary.seconds is None:
        return 'not logged'
    minutes, seconds = divmod(round(summary.seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f'{hours} h ' if hours else '') + f'{minutes} min {seconds:02d} s ({summary.seconds_are})'


def _pace(summary: Summary) -> str:
    if summary.seconds_per_iteration is None:
        return 'not logged'
    return f'{summary.seconds_per_iteration:.3f} s (mean of the logged times, data loading included)'


def _plain(evaluation: Evaluation | None) -> Mapping[str, object] | None:
    if evaluation is None:
        return None
    metrics = {name: value if math.isfinite(value) else None for name, value in evaluation.metrics.items()}
    return {'iteration': evaluation.iteration, 'metrics': metrics}
