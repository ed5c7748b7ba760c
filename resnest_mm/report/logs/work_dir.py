"""Merging the runs in a work directory into one training: the newest run and those that it resumed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from resnest_mm.errors import UserError
from resnest_mm.report.logs.run import Run
from resnest_mm.report.logs.scalars import Schedule, parse_scalars
from resnest_mm.report.logs.text_log import TextLog, parse_text_log

_RUN_FOLDER: Final = re.compile(r'\d{8}_\d{6}')


def read_run(work_dir: Path, *, schedule: Schedule | None = None) -> Run:
    """Return the newest training in a work directory, merged with the runs that it resumed.

    Where a run resumes before the end of the run before it, iterations that were trained twice appear once, as trained
    last. A run that was not resumed replaces everything before it.

    Args:
        work_dir: The directory given to the training; its runs lie in folders named by their start time.
        schedule: The evaluations of a training that is not counted in epochs.

    Raises:
        UserError: There is no such directory, or no run in it logged a training line.
    """
    if not work_dir.is_dir():
        raise UserError(f'work directory {str(work_dir)!r} does not exist; give the one the training wrote to')
    merged: Run | None = None
    for folder in sorted(path for path in work_dir.iterdir() if _RUN_FOLDER.fullmatch(path.name)):
        scalars = folder / 'vis_data' / 'scalars.json'
        if not scalars.is_file():
            continue
        log = parse_text_log(folder / f'{folder.name}.log')
        run = parse_scalars(scalars, epoch_length=log.epoch_length if log else None, schedule=schedule)
        if run.points:
            run = replace(run, wall_seconds=log.seconds if log else None)
            merged = _resume(merged, run, _start(run, log))
    if merged is None:
        raise UserError(
            f'no training is logged in {str(work_dir)!r}: no <timestamp>/vis_data/scalars.json holds a training line; '
            'train first, or check the directory'
        )
    return merged


def _resume(before: Run | None, run: Run, start: int) -> Run:
    if before is None:
        return run
    points = tuple(point for point in before.points if point.iteration <= start)
    evaluations = tuple(item for item in before.evaluations if item.iteration <= start)
    if not points:
        return run
    known = before.wall_seconds is not None and run.wall_seconds is not None
    return Run(
        points=points + run.points,
        evaluations=evaluations + run.evaluations,
        wall_seconds=(before.wall_seconds or 0.0) + (run.wall_seconds or 0.0) if known else None,
        parts=before.parts + 1,
    )


def _start(run: Run, log: TextLog | None) -> int:
    """Return the iterations done before the run; without a text log, those before its first training line."""
    return log.resumed_at if log else run.points[0].iteration - 1
