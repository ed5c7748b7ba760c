"""A scalars.json is read exactly, whichever number mmengine wrote beside its evaluations."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from resnest_mm.errors import UserError
from resnest_mm.report.logs.run import Evaluation, TrainPoint
from resnest_mm.report.logs.scalars import Schedule, parse_scalars
from tests.support.log_lines import coco_line, train_line
from tests.support.run_folders import WriteRun


def scalars(root: Path, stamp: str = '20300102_000000') -> Path:
    return root / stamp / 'vis_data' / 'scalars.json'


def test_training_and_evaluation_lines(write_run: WriteRun) -> None:
    lines = [train_line(10, loss=2.5, time=0.25, lr=0.02), coco_line(10, 0.3, 0.6, 0.2)]
    run = parse_scalars(scalars(write_run('20300102_000000', lines)))
    assert run.points == (TrainPoint(iteration=10, loss=2.5, lr=0.02, seconds=0.25),)
    assert run.evaluations == (Evaluation(10, {'mAP': 0.3, 'AP50': 0.6, 'AP75': 0.2}),)


@pytest.mark.parametrize(
    ('line', 'expected'),
    [
        ({'pascal_voc/mAP': 0.5, 'pascal_voc/AP50': 0.5}, {'mAP': 0.5, 'AP50': 0.5}),
        ({'aAcc': 90.0, 'mIoU': 60.0, 'mAcc': 70.0}, {'mIoU': 0.6, 'mAcc': 0.7, 'aAcc': 0.9}),
        ({'val/coco/segm_mAP': 0.25}, {'mask mAP': 0.25}),
        (
            {'coco_panoptic/PQ': 48.0, 'coco_panoptic/SQ': 81.0, 'coco_panoptic/RQ': 57.0, 'coco_panoptic/PQ_th': 55.0}
            | {'coco/bbox_mAP': 0.5},
            {'PQ': 0.48, 'SQ': 0.81, 'RQ': 0.57, 'mAP': 0.5},
        ),
    ],
    ids=['voc', 'segmentation', 'hierarchy', 'panoptic'],
)
def test_metric_names(write_run: WriteRun, line: dict[str, float], expected: dict[str, float]) -> None:
    """Values lie in 0..1, also where the host logs percentages: mIoU of mmseg, PQ of mmdet."""
    root = write_run('20300102_000000', [train_line(10), {**line, 'step': 10}])
    (evaluation,) = parse_scalars(scalars(root)).evaluations
    assert list(evaluation.metrics.items()) == list(expected.items())


@pytest.mark.parametrize(
    ('step', 'epoch_length', 'expected'),
    [(107, None, 107), (1, 107, 107), (0, None, 100), (1, None, 100)],
    ids=['iteration', 'epoch', 'nothing known', 'epoch of unknown length'],
)
def test_iteration_of_an_evaluation(write_run: WriteRun, step: int, epoch_length: int | None, expected: int) -> None:
    """The last lines of an epoch are not logged, so the line above an evaluation is only a lower bound."""
    root = write_run('20300102_000000', [train_line(50), train_line(100), coco_line(step, 0.1, 0.2, 0.1)])
    run = parse_scalars(scalars(root), epoch_length=epoch_length)
    assert [item.iteration for item in run.evaluations] == [expected]


def test_iterations_from_the_schedule(write_run: WriteRun) -> None:
    """A training counted in iterations numbers all evaluations 0; two may follow one training line at the end."""
    lines = [train_line(5), coco_line(0, 0.1, 0.2, 0.1), train_line(10), coco_line(0, 0.2, 0.3, 0.2), train_line(20)]
    lines += [coco_line(0, 0.3, 0.4, 0.3), coco_line(0, 0.4, 0.5, 0.4)]
    root = write_run('20300102_000000', lines)
    run = parse_scalars(scalars(root), schedule=Schedule(val_interval=7, max_iters=23))
    assert [item.iteration for item in run.evaluations] == [7, 14, 21, 23]


def test_nan_loss_is_kept(write_run: WriteRun) -> None:
    root = write_run('20300102_000000', [train_line(10, loss=math.nan), train_line(20)])
    first, second = parse_scalars(scalars(root)).points
    assert math.isnan(first.loss)
    assert second.loss == 1.0


def test_incomplete_last_line_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / 'scalars.json'
    path.write_text(json.dumps(train_line(10)) + '\n{"lr": 0.0')
    assert [point.iteration for point in parse_scalars(path).points] == [10]


@pytest.mark.parametrize('text', ['{"lr": 0.0\n{}\n', '[1]\n{}\n'], ids=['broken', 'list'])
def test_damaged_line_names_its_number(tmp_path: Path, text: str) -> None:
    path = tmp_path / 'scalars.json'
    path.write_text(json.dumps(train_line(10)) + '\n' + text)
    with pytest.raises(UserError, match='line 2'):
        parse_scalars(path)
