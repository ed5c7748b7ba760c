"""One training at a time in a work_dir, and a training that was killed blocks nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from resnest_mm.errors import UserError
from resnest_mm.training.safety.lock import NAME, check_unlocked, locked
from tests.support.projects import Project

Tool = Callable[[str, Sequence[str]], int]

HOLD = """\
import sys
from resnest_mm.training.safety.lock import locked
with locked(sys.argv[1]):
    print('held', flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_training(work_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold the lock of a work_dir in another process."""
    command = [sys.executable, '-c', HOLD, str(work_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == 'held\n'
        yield process
        process.kill()


def test_a_second_training_is_refused_with_the_owner_of_the_first(
    project: Project, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both would delete each other's checkpoints, and the report would mix their scores."""
    config = str(project.config())
    work_dir = project.cwd / 'run'
    with another_training(work_dir) as other:
        before = project.files()
        assert tool('train', [config, '--work-dir', 'run']) == 2
        error = capsys.readouterr().err
        assert error.startswith(f'error: work_dir run is in use by another training (pid {other.pid} on ')
        assert ' since 2' in error and error.count('\n') == 1
        assert project.files() == before
    assert tool('train', [config, '--work-dir', 'run']) == 0


def test_a_training_that_was_killed_blocks_nobody(tmp_path: Path) -> None:
    with another_training(tmp_path) as other:
        with pytest.raises(UserError, match=f'pid {other.pid} '):
            check_unlocked(tmp_path)
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        check_unlocked(tmp_path)
        with locked(tmp_path) as warning:
            assert warning == ''


def test_one_process_cannot_train_twice_in_a_folder(tmp_path: Path) -> None:
    """The kernel gives a process the lock that it has already; a notebook can start two trainings."""
    with (
        locked(tmp_path),
        pytest.raises(UserError, match=f'pid {os.getpid()} '),
        locked(tmp_path / '..' / tmp_path.name),
    ):
        pass
    with locked(tmp_path):
        pass


def test_the_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        1 / 0  # noqa: B018
    check_unlocked(tmp_path)
    assert (tmp_path / NAME).read_text() == ''


def test_a_training_of_another_host_that_did_not_end_is_a_warning(tmp_path: Path) -> None:
    """Not every network file system shows the locks of other hosts."""
    (tmp_path / NAME).write_text('{"pid": 7, "host": "node-3", "start": "2026-01-01 00:00:00", "command": "train"}')
    with locked(tmp_path) as warning:
        assert 'pid 7 on node-3 since 2026-01-01 00:00:00: train' in warning


@pytest.mark.parametrize('content', ['', 'not json', '[]', '{"pid": "\\n"}'])
def test_a_damaged_lock_file_is_no_owner(content: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(content)
    check_unlocked(tmp_path)
    with locked(tmp_path) as warning:
        assert '\n' not in warning


def test_a_test_in_the_folder_of_a_running_training_changes_none_of_its_files(project: Project, tool: Tool) -> None:
    """A test writes its log into a folder of its own, named by the time, and its config under a name of its own."""
    config = str(project.config())
    assert tool('train', [config, '--work-dir', 'run']) == 0
    work_dir = project.cwd / 'run'
    before = {path: path.read_bytes() for path in work_dir.iterdir() if path.is_file()}
    assert {'micro.py', 'epoch_1.pth', 'last_checkpoint'} <= {path.name for path in before}
    with another_training(work_dir):
        before[work_dir / NAME] = (work_dir / NAME).read_bytes()
        assert tool('test', [config, 'run/epoch_1.pth', '--work-dir', 'run']) == 0
        changed = [path for path, content in before.items() if path.read_bytes() != content]
    assert changed == []
