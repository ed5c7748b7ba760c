"""The part of a report that depends on the kind of model: a picture of its predictions, and scores of its classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from resnest_mm.errors import UserError
from resnest_mm.report.class_scores import find_logged_score, score_classes
from resnest_mm.report.figures.detections import draw_detections
from resnest_mm.report.figures.segmentation import draw_segmentation
from resnest_mm.report.logs.run import Run
from resnest_mm.report.predictions.detector import predict_detector
from resnest_mm.report.predictions.segmentor import predict_segmentor
from resnest_mm.report.request import Request
from resnest_mm.report.tables import class_scores_record, render_class_scores

SCORE_THRESHOLD: Final = 0.5
"""Lowest score of a detection that is shown unless the request sets another."""


@dataclass(frozen=True)
class Section:
    """A part of the report; nothing is written yet.

    Args:
        draw: Writes its picture into the work directory and returns the path.
        table: Lines for the report's table.
        record: Entries for `report.json`.
    """

    draw: Callable[[], Path]
    table: str | None = None
    record: Mapping[str, object] = field(default_factory=dict)


def report_detector(request: Request, checkpoint: Path, run: Run) -> Section:
    """Return the section on a detector, which runs on the images that are shown.

    Args:
        request: The report that is wanted.
        checkpoint: The weights to show.
        run: The training; a detector's scores are all in its log.

    Raises:
        UserError: See `predict_detector`; or a score threshold is given for panoptic segments.
    """
    threshold = SCORE_THRESHOLD if request.score_threshold is None else request.score_threshold
    found = predict_detector(
        request.cfg,
        checkpoint,
        split=request.split,
        count=request.images,
        score_threshold=threshold,
        device=request.device,
        partial=request.partial,
    )
    if found.panoptic and request.score_threshold is not None:
        raise UserError(
            f'--score-thr {request.score_threshold:g} is for boxes and masks, and this model predicts panoptic '
            'segments; leave it out, or set the threshold of its fusion head in model.test_cfg'
        )
    path = request.work_dir / 'detections.png'

    def draw() -> Path:
        draw_detections(
            found.comparisons,
            path,
            class_names=found.class_names,
            score_threshold=None if found.panoptic else threshold,
            source=f'{found.total} {request.split} images',
            model=f'{request.name}, {checkpoint.name}',
        )
        return path

    return Section(draw)


def report_segmentor(request: Request, checkpoint: Path, run: Run) -> Section:
    """Return the section on a segmentor, which runs on all images: scalars.json has no scores of single classes.

    Args:
        request: The report that is wanted.
        checkpoint: The weights to measure and to show.
        run: The training, whose logged mIoU is compared with the measured one.

    Raises:
        UserError: See `predict_segmentor`; or a score threshold is given.
    """
    if request.score_threshold is not None:
        raise UserError(f'--score-thr {request.score_threshold:g} is for detectors; leave it out')
    found = predict_segmentor(
        request.cfg,
        checkpoint,
        split=request.split,
        count=request.images,
        device=request.device,
        partial=request.partial,
    )
    scores = score_classes(found.counts)
    logged = find_logged_score(run, iteration=found.iteration) if request.split == 'val' else None
    names, source = found.classes.names, f'{found.total} {request.split} images'
    path = request.work_dir / 'segmentation.png'

    def draw() -> Path:
        draw_segmentation(
            found.comparisons,
            path,
            classes=found.classes,
            source=source,
            model=f'{request.name}, {checkpoint.name}',
        )
        return path

    return Section(
        draw,
        render_class_scores(scores, class_names=names, source=source, logged=logged),
        class_scores_record(scores, class_names=names, source=source, logged=logged),
    )


SECTIONS: Final[Mapping[str, Callable[[Request, Path, Run], Section]]] = MappingProxyType(
    {'mmdet': report_detector, 'mmseg': report_segmentor}
)
"""Host scope -> the function for its models. For a host that is not listed, a report has the curves alone."""
