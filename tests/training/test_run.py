"""A full disk ends a training in one line, wherever the disk is written to."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger

from resnest_mm.errors import RunError
from resnest_mm.training.plan import RunPlan
from resnest_mm.training.run import run_training


def plan_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: Any) -> RunPlan:
    """Return a plan whose Runner does nothing but call a function."""
    runner = SimpleNamespace(train=train, register_hook=lambda hook: None)
    monkeypatch.setattr(RunPlan, 'build_runner', lambda self: runner)
    return RunPlan(Config({'work_dir': str(tmp_path)}))


def test_a_full_disk_is_one_line_that_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything can be written when the disk fills up: a log, a picture, the visualizer's scalars."""

    def train() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'scalars.json')

    plan = plan_of(tmp_path, monkeypatch, train)
    with pytest.raises(RunError) as caught:
        run_training(plan)
    assert str(caught.value) == (
        'scalars.json cannot be written: No space left on device; make room, then go on: '
        'no checkpoint has been saved yet; start again'
    )
    (tmp_path / 'last_checkpoint').write_text('run/epoch_1.pth')
    with pytest.raises(RunError, match=r'the last checkpoint run/epoch_1.pth is whole and --resume continues from it'):
        run_training(plan)


def test_other_errors_of_the_system_are_not_called_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train() -> None:
        raise FileNotFoundError(errno.ENOENT, 'No such file', 'image.jpg')

    with pytest.raises(FileNotFoundError):
        run_training(plan_of(tmp_path, monkeypatch, train))


def test_a_log_that_cannot_be_written_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python's logging would print a traceback for every line of the log."""
    log = tmp_path / 'run.log'
    logger = MMLogger('full disk', log_file=str(log))
    monkeypatch.setitem(MMLogger._instance_dict, 'full disk', logger)
    (handler,) = (handler for handler in logger.handlers if isinstance(handler, logging.FileHandler))

    def train() -> None:
        handler.stream.close()
        handler.stream = Path('/dev/full').open('w')  # noqa: SIM115
        for _ in range(3):
            handler.emit(logging.LogRecord('full disk', logging.INFO, '', 0, 'a line', (), None))

    run_training(plan_of(tmp_path, monkeypatch, train))
    error = capsys.readouterr().err
    assert error == f'warning: {log} cannot be written: [Errno 28] No space left on device\n'
