"""Writing the report on a finished training: a table, its record, and pictures, all in the work directory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from resnest_mm.atomic import replacing
from resnest_mm.errors import UserError
from resnest_mm.report.figures.curves import draw_curves
from resnest_mm.report.logs.scalars import Schedule
from resnest_mm.report.logs.work_dir import read_run
from resnest_mm.report.request import Request
from resnest_mm.report.sections import SECTIONS
from resnest_mm.report.summary import summarise
from resnest_mm.report.tables import render_summary, summary_record
from resnest_mm.training.checks.checkpoints import check_checkpoint
from resnest_mm.training.checks.outputs import check_output_folder
from resnest_mm.training.config.walk import type_name
from resnest_mm.training.work_dir import last_checkpoint
from resnest_mm.weights.io.read import read_checkpoint


@dataclass(frozen=True)
class Report:
    """A written report.

    Args:
        table: Plain text for people.
        record: The path of `report.json`, which has the same numbers for programs.
        pictures: The paths of the pictures.
    """

    table: str
    record: Path
    pictures: tuple[Path, ...]


def write_report(request: Request) -> Report:
    """Write `report.json` and the pictures into the work directory.

    All mistakes of the user are found before the first file is written.

    Args:
        request: The report that is wanted.

    Raises:
        UserError: The work directory, its logs or the checkpoint cannot be reported on.
    """
    run = read_run(request.work_dir, schedule=_schedule(request.cfg))
    check_output_folder(request.work_dir, source='WORK_DIR')
    checkpoint = request.checkpoint or find_checkpoint(request.work_dir)
    check_checkpoint(str(checkpoint), source='--checkpoint' if request.checkpoint else 'last_checkpoint')
    summary = summarise(run)
    report_model = SECTIONS.get(request.cfg.get('default_scope', 'mmdet'))
    section = report_model(request, checkpoint, run) if report_model else None
    if section is None:
        read_checkpoint(checkpoint)  # nothing is shown of it, but the report names it

    curves = request.work_dir / 'curves.png'
    draw_curves(run, curves, summary=summary, title=f'Training of {request.name}')
    pictures = (curves, section.draw()) if section else (curves,)
    record = request.work_dir / 'report.json'
    content = {
        **summary_record(summary),
        **(section.record if section else {}),
        'checkpoint': str(checkpoint),
        'pictures': {path.stem: str(path) for path in pictures},
    }
    with replacing(record) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + '\n', encoding='utf-8')
    class_table = section.table if section else None
    table = render_summary(summary, checkpoint=str(checkpoint), class_table=class_table)
    return Report(table, record, pictures)


def find_checkpoint(work_dir: Path) -> Path:
    """Return the checkpoint that a training saved last, even where the work directory was moved.

    Args:
        work_dir: The directory given to the training.

    Raises:
        UserError: The directory names no checkpoint, or the file is gone.
    """
    named = last_checkpoint(work_dir)
    if named is None:
        raise UserError(f'no checkpoint in {work_dir}: it has no file last_checkpoint; give one with --checkpoint')
    found = next((path for path in (work_dir / named.name, named) if path.is_file()), None)
    if found is None:
        raise UserError(f'last_checkpoint in {work_dir} names {named}, which is gone; give one with --checkpoint')
    return found


def _schedule(cfg: Config) -> Schedule | None:
    """Return when the training evaluates, or None where it is counted in epochs."""
    train = cfg.get('train_cfg') or {}
    counts_iterations = type_name(train) == 'IterBasedTrainLoop' or train.get('by_epoch') is False
    if not counts_iterations or 'max_iters' not in train:
        return None
    # 1000 is the default of mmengine's IterBasedTrainLoop.
    return Schedule(val_interval=int(train.get('val_interval', 1000)), max_iters=int(train['max_iters']))
