"""Reading one scalars.json of mmengine: training lines, and evaluations with the iteration that each belongs to.

mmengine writes the iteration of an evaluation only where its LoggerHook has `log_metric_by_epoch=False`. Otherwise it
writes the number of the epoch, or 0 where training is not counted in epochs. The iteration is then computed from the
length of an epoch, which only the text log has, or from the config's validation interval.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnest_mm.errors import UserError
from resnest_mm.report.logs.run import Evaluation, Run, TrainPoint
from resnest_mm.report.metrics import METRIC_NAMES, PERCENTAGES


@dataclass(frozen=True)
class Schedule:
    """The evaluations of a training that is counted in iterations: at every multiple of the interval and at the end.

    Args:
        val_interval: Iterations between two evaluations, at least 1.
        max_iters: Iterations of the whole training, at least 1.
    """

    val_interval: int
    max_iters: int

    def next_evaluation(self, *, logged: int, before: int) -> int:
        """Return the iteration of the first evaluation that may follow.

        Args:
            logged: Iteration of the last training line; the evaluation is not earlier.
            before: Iteration of the evaluation before it, or 0; the evaluation is later.
        """
        due = max(math.ceil(logged / self.val_interval), before // self.val_interval + 1) * self.val_interval
        return due if max(logged, before) > self.max_iters else min(due, self.max_iters)


def parse_scalars(path: Path, *, epoch_length: int | None = None, schedule: Schedule | None = None) -> Run:
    """Return the training lines and evaluations of one `scalars.json`.

    Without `epoch_length` and `schedule`, an evaluation without iteration gets that of the training line above it.

    Args:
        path: File with one JSON object a line, as mmengine's local visualiser writes it.
        epoch_length: Iterations in an epoch, at least 1.
        schedule: The evaluations of a training that is not counted in epochs.

    Raises:
        UserError: A line is no JSON object. Only the last may be incomplete, as an interrupted training leaves it.
    """
    points: list[TrainPoint] = []
    evaluations: list[Evaluation] = []
    for line in _json_lines(path):
        if 'iter' in line:
            points.append(_train_point(line))
            continue
        metrics = _metrics(line)
        if metrics:
            logged = points[-1].iteration if points else 0
            before = evaluations[-1].iteration if evaluations else 0
            step = int(line.get('step', 0))
            if step >= logged:
                done = step
            elif epoch_length is not None and step * epoch_length >= logged:
                done = step * epoch_length
            else:
                done = schedule.next_evaluation(logged=logged, before=before) if schedule else logged
            evaluations.append(Evaluation(done, metrics))
    return Run(tuple(points), tuple(evaluations))


def _json_lines(path: Path) -> list[dict[str, Any]]:
    lines = [line for line in path.read_text(encoding='utf-8').splitlines() if line.strip()]
    found: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise UserError(f'{path}: line {number} is no JSON ({error}); the file is damaged') from error
        if not isinstance(value, dict):
            raise UserError(f'{path}: line {number} is no JSON object; give a scalars.json of mmengine')
        found.append(value)
    return found


def _train_point(line: Mapping[str, Any]) -> TrainPoint:
    plain = {name.removeprefix('train/'): value for name, value in line.items()}
    seconds = plain.get('time')
    return TrainPoint(
        iteration=int(plain['iter']),
        loss=float(plain.get('loss', math.nan)),
        lr=float(plain.get('lr', math.nan)),
        seconds=None if seconds is None else float(seconds),
    )


def _metrics(line: Mapping[str, Any]) -> dict[str, float]:
    leaves = {name.rsplit('/', 1)[-1]: value for name, value in line.items()}
    return {
        label: float(leaves[leaf]) / (100 if leaf in PERCENTAGES else 1)
        for leaf, label in METRIC_NAMES.items()
        if leaf in leaves
    }
