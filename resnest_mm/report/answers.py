"""What a trained model answers on the images of a split, for each kind of model that a report can show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from resnest_mm.errors import UserError
from resnest_mm.report.class_scores import logged_score, render_scores, scores_record
from resnest_mm.report.confusion import score
from resnest_mm.report.detections import draw_detections
from resnest_mm.report.request import Request
from resnest_mm.report.scalars import Run
from resnest_mm.report.segmentation import draw_segmentation

SCORE_THRESHOLD: Final = 0.5
"""Lowest score of a detection that is shown unless the request says otherwise."""


@dataclass(frozen=True)
class Answers:
    """What a model answered; nothing is written yet.

    Args:
        draw: Writes the picture of it into the work directory and returns its path.
        table: Lines for the report's table.
        record: Entries for `report.json`.
    """

    draw: Callable[[], Path]
    table: str | None = None
    record: Mapping[str, object] = field(default_factory=dict)


def _ask_detector(request: Request, checkpoint: Path, run: Run) -> Answers:
    """Run the detector on the images that are shown."""
    from resnest_mm.report.detector_samples import collect_samples

    threshold = SCORE_THRESHOLD if request.score_threshold is None else request.score_threshold
    samples, names, total = collect_samples(
        request.cfg,
        checkpoint,
        split=request.split,
        count=request.images,
        score_threshold=threshold,
        device=request.device,
    )
    path = request.work_dir / 'detections.png'

    def draw() -> Path:
        draw_detections(
            samples,
            path,
            class_names=names,
            score_threshold=threshold,
            source=f'{total} {request.split} images',
            model=f'{request.name}, {checkpoint.name}',
        )
        return path

    return Answers(draw)


def _ask_segmenter(request: Request, checkpoint: Path, run: Run) -> Answers:
    """Run the segmenter on all images of the split: the log has no scores of single classes."""
    from resnest_mm.report.segmentor_samples import collect_maps

    if request.score_threshold is not None:
        raise UserError(f'--score-thr {request.score_threshold:g} is for detectors; leave it out')
    found = collect_maps(request.cfg, checkpoint, split=request.split, count=request.images, device=request.device)
    scores = score(found.counts)
    logged = logged_score(run, iteration=found.iteration) if request.split == 'val' else None
    source = f'{found.total} {request.split} images'
    path = request.work_dir / 'segmentation.png'

    def draw() -> Path:
        draw_segmentation(
            found.samples,
            path,
            class_names=found.class_names,
            palette=found.palette,
            ignore_index=found.ignore_index,
            source=source,
            model=f'{request.name}, {checkpoint.name}',
        )
        return path

    return Answers(
        draw,
        render_scores(scores, class_names=found.class_names, source=source, logged=logged),
        scores_record(scores, class_names=found.class_names, source=source, logged=logged),
    )


Ask = Callable[[Request, Path, Run], Answers]

ANSWERS: Final[Mapping[str, Ask]] = MappingProxyType({'mmdet': _ask_detector, 'mmseg': _ask_segmenter})
"""Host scope -> what asks its models; for a host that is not listed a report has the curves alone."""
