"""The report that ends a training: a table, its record, and pictures, all in the work directory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from mmengine.config import Config

from resnest_mm.analysis.curves import draw_curves
from resnest_mm.analysis.detections import draw_detections
from resnest_mm.analysis.scalars import Schedule
from resnest_mm.analysis.summary import render_table, summarise, to_record
from resnest_mm.analysis.training import read_run
from resnest_mm.engine.checkpoints import check_checkpoint, last_checkpoint
from resnest_mm.engine.errors import UserError
from resnest_mm.replacing import replacing

SPLITS: Final = ('val', 'test')


@dataclass(frozen=True)
class Request:
    """What to report on.

    Args:
        cfg: The config that was trained.
        work_dir: Where the training wrote, and where the report goes.
        checkpoint: Weights to show; None for the last that the training saved.
        images: Images to show, at least 1.
        score_threshold: Lowest score of a prediction that is shown, in 0..1.
        split: One of `SPLITS`.
        device: Where the model runs.
    """

    cfg: Config
    work_dir: Path
    checkpoint: Path | None = None
    images: int = 12
    score_threshold: float = 0.5
    split: str = 'val'
    device: torch.device | str = 'cpu'

    def __post_init__(self) -> None:
        if self.images < 1:
            raise UserError(f'images={self.images} must be at least 1')
        if not 0 <= self.score_threshold <= 1:
            raise UserError(f'score_threshold={self.score_threshold} must lie in 0..1')
        if self.split not in SPLITS:
            raise UserError(f'split={self.split!r} is unknown; choose one of {SPLITS}')
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise UserError(f'device={str(self.device)!r} cannot be used here; choose cpu, cuda or cuda:N') from error


@dataclass(frozen=True)
class Report:
    """What was reported.

    Args:
        table: Plain text for people.
        record: `report.json`, the same for programs.
        pictures: The pictures drawn.
    """

    table: str
    record: Path
    pictures: tuple[Path, ...]


def write_report(request: Request) -> Report:
    """Write `report.json` and the pictures into the work directory.

    Everything that can fail for a reason of the user's comes before the first file is written.

    Args:
        request: What to report on.

    Raises:
        UserError: The work directory, its logs or the checkpoint cannot be reported on.
    """
    run = read_run(request.work_dir, schedule=_schedule(request.cfg))
    checkpoint = request.checkpoint or find_checkpoint(request.work_dir)
    check_checkpoint(str(checkpoint), source='--checkpoint' if request.checkpoint else 'last_checkpoint')
    summary = summarise(run)
    prepare = _ANSWERS.get(request.cfg.get('default_scope', 'mmdet'))
    draw_answers = prepare(request, checkpoint) if prepare else None

    curves = request.work_dir / 'curves.png'
    draw_curves(run, curves, title=f'Training of {_name(request)}')
    pictures = (curves, draw_answers()) if draw_answers else (curves,)
    record = request.work_dir / 'report.json'
    content = {
        **to_record(summary),
        'checkpoint': str(checkpoint),
        'pictures': {path.stem: str(path) for path in pictures},
    }
    with replacing(record) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + '\n', encoding='utf-8')
    return Report(render_table(summary, checkpoint=str(checkpoint)), record, pictures)


def find_checkpoint(work_dir: Path) -> Path:
    """Return the checkpoint that a training saved last, also after its directory was moved.

    Args:
        work_dir: The directory given to the training.

    Raises:
        UserError: It names none, or the file is gone.
    """
    named = last_checkpoint(work_dir)
    if named is None:
        raise UserError(f'no checkpoint in {work_dir}: it has no file last_checkpoint; give one with --checkpoint')
    found = next((path for path in (work_dir / named.name, named) if path.is_file()), None)
    if found is None:
        raise UserError(f'last_checkpoint in {work_dir} names {named}, which is gone; give one with --checkpoint')
    return found


def _detections(request: Request, checkpoint: Path) -> Callable[[], Path]:
    """Run the detector; return what draws its answers."""
    from resnest_mm.analysis.detector_samples import collect_samples

    samples, names, total = collect_samples(
        request.cfg,
        checkpoint,
        split=request.split,
        count=request.images,
        score_threshold=request.score_threshold,
        device=request.device,
    )
    path = request.work_dir / 'detections.png'

    def draw() -> Path:
        draw_detections(
            samples,
            path,
            class_names=names,
            score_threshold=request.score_threshold,
            source=f'{total} {request.split} images',
            model=f'{_name(request)}, {checkpoint.name}',
        )
        return path

    return draw


# Host scope -> what shows a model's answers; a host that is not listed gets the curves alone.
_ANSWERS: Final[Mapping[str, Callable[[Request, Path], Callable[[], Path]]]] = {'mmdet': _detections}


def _schedule(cfg: Config) -> Schedule | None:
    """Return when the training evaluates, or None where it counts in epochs."""
    train = cfg.get('train_cfg') or {}
    counts_iterations = train.get('type') == 'IterBasedTrainLoop' or train.get('by_epoch') is False
    if not counts_iterations or 'max_iters' not in train:
        return None
    # 1000 is the default of mmengine's IterBasedTrainLoop.
    return Schedule(val_interval=int(train.get('val_interval', 1000)), max_iters=int(train['max_iters']))


def _name(request: Request) -> str:
    return Path(request.cfg.filename).stem if request.cfg.filename else request.work_dir.name
