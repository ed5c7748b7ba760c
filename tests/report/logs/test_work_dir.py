"""A training spread over several runs counts once, as trained last."""

from __future__ import annotations

from pathlib import Path

import pytest

from resnest_mm.errors import UserError
from resnest_mm.report.logs.work_dir import read_run
from tests.support.log_lines import coco_line, stamped, train_line
from tests.support.run_folders import WriteRun

FIRST = [
    train_line(10, loss=3.0),
    train_line(20, loss=2.0),
    coco_line(20, 0.1, 0.2, 0.1),
    train_line(30, loss=99.0),
    train_line(40, loss=99.0),
    coco_line(40, 0.9, 0.9, 0.9),
]
SECOND = [train_line(35, loss=1.5), train_line(45, loss=1.0), coco_line(45, 0.3, 0.5, 0.2)]
FIRST_LOG = [stamped('00:00:00', 'start'), 'no stamp', stamped('00:01:30', 'end')]


def test_resumed_run_overrides_what_was_trained_twice(write_run: WriteRun) -> None:
    write_run('20300102_000000', FIRST, log=FIRST_LOG)
    log = [stamped('01:00:00', 'resumed epoch: 0, iter: 25'), stamped('01:00:40', 'end')]
    run = read_run(write_run('20300102_010000', SECOND, log=log))
    assert [(point.iteration, point.loss) for point in run.points] == [(10, 3.0), (20, 2.0), (35, 1.5), (45, 1.0)]
    assert [(item.iteration, item.metrics['mAP']) for item in run.evaluations] == [(20, 0.1), (45, 0.3)]
    assert (run.parts, run.wall_seconds) == (2, 130.0)


def test_without_logs_a_run_overrides_from_its_first_line(write_run: WriteRun) -> None:
    write_run('20300102_000000', FIRST)
    run = read_run(write_run('20300102_010000', SECOND))
    assert [point.iteration for point in run.points] == [10, 20, 30, 35, 45]
    assert run.wall_seconds is None


def test_fresh_start_replaces_everything(write_run: WriteRun) -> None:
    write_run('20300102_000000', FIRST, log=FIRST_LOG)
    run = read_run(write_run('20300102_010000', SECOND, log=[stamped('01:00:00', 'a'), stamped('01:00:05', 'b')]))
    assert [point.iteration for point in run.points] == [35, 45]
    assert (run.parts, run.wall_seconds) == (1, 5.0)


def test_run_that_logged_no_training_is_passed_over(write_run: WriteRun) -> None:
    write_run('20300102_000000', FIRST)
    run = read_run(write_run('20300102_010000', [coco_line(0, 0.7, 0.7, 0.7)]))
    assert [point.iteration for point in run.points] == [10, 20, 30, 40]
    assert run.evaluations[-1].metrics['mAP'] == 0.9


def test_epoch_length_comes_from_the_log(write_run: WriteRun) -> None:
    lines = [train_line(10), coco_line(1, 0.1, 0.2, 0.1), train_line(25), coco_line(2, 0.2, 0.3, 0.2)]
    log = [stamped('00:00:00', 'Epoch(train)  [1][10/15]  lr: 1.0e-02'), stamped('00:00:09', 'end')]
    run = read_run(write_run('20300102_000000', lines, log=log))
    assert [item.iteration for item in run.evaluations] == [15, 30]


def test_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'absent.* does not exist'):
        read_run(tmp_path / 'absent')


def test_directory_without_training(write_run: WriteRun) -> None:
    with pytest.raises(UserError, match='no training is logged'):
        read_run(write_run('20300102_000000', [coco_line(0, 0.7, 0.7, 0.7)]))
