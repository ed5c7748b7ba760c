"""SIGTERM and Ctrl-C: a training saves its iteration and ends, everything else ends at once; always with one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from resnest_mm.atomic import leftovers
from resnest_mm.training.work_dir import last_checkpoint
from resnest_mm.weights.io.damage import find_damage
from tests.support.projects import Project

Tool = Callable[[str, Sequence[str]], int]

SIGNALS = """
custom_imports['imports'].append('signal_parts')
train_cfg = dict(by_epoch={by_epoch}, **{length})
default_hooks = dict(checkpoint={checkpoint})
custom_hooks = [dict(type='SendSignals', {sent})]
"""
EPOCHS = "dict(type='CheckpointHook', interval=1, max_keep_ckpts=1)"


def config(
    project: Project, sent: str, *, checkpoint: str = EPOCHS, by_epoch: bool = True, more: str = '', length: int = 3
) -> str:
    unit = {'max_epochs': length} if by_epoch else {'max_iters': length, 'val_interval': length}
    edits = SIGNALS.format(by_epoch=by_epoch, length=unit, checkpoint=checkpoint, sent=sent)
    return str(project.config(edits + more))


@pytest.mark.parametrize(('name', 'code'), [('SIGTERM', 143), ('SIGINT', 130)])
@pytest.mark.parametrize('step', ['before_train_iter', 'after_train_iter'])
def test_the_iteration_is_finished_and_saved(
    step: str, name: str, code: int, project: Project, tool: Tool, capfd: pytest.CaptureFixture[str]
) -> None:
    """In the middle of an epoch of two iterations; then `--resume` trains to the end and deletes this checkpoint."""
    argv = [config(project, f"step='{step}', names=['{name}'], iteration=2"), '--work-dir', 'run']
    assert tool('train', argv) == code
    run = project.cwd / 'run'
    path = run / 'interrupted_iter_3.pth'
    out, err = capfd.readouterr()
    line = f'stopped by {name}: iteration 3 is saved in {path}; continue with the same command and --resume'
    assert [text for text in err.splitlines() if 'stopped' in text] == [line]
    assert 'Traceback' not in out + err
    assert last_checkpoint(run) == path
    assert find_damage(path) is None
    assert torch.load(path, weights_only=False)['meta']['iter'] == 3
    assert tool('train', [config(project, "step='before_run', iteration=-1"), '--work-dir', 'run', '--resume']) == 0
    assert 'resumed epoch: 1, iter: 3' in capfd.readouterr().out
    assert [file.name for file in run.glob('*.pth')] == ['epoch_3.pth']


def test_a_training_by_iterations_saves_once(project: Project, tool: Tool, capfd: pytest.CaptureFixture[str]) -> None:
    """Where the regular checkpoint of this iteration is there already, it is the one to resume from."""
    checkpoint = "dict(type='CheckpointHook', interval=2, by_epoch=False)"
    sent = "step='before_train_iter', iteration=1"
    argv = [config(project, sent, checkpoint=checkpoint, by_epoch=False, length=4), '--work-dir', 'run']
    assert tool('train', argv) == 143
    assert [file.name for file in (project.cwd / 'run').glob('*.pth')] == ['iter_2.pth']
    assert f'iteration 2 is saved in {project.cwd / "run" / "iter_2.pth"};' in capfd.readouterr().err


@pytest.mark.parametrize(('interval', 'saved'), [(1, 'epoch_1.pth'), (2, 'interrupted_iter_3.pth')])
def test_a_validation_does_not_delay_the_end_of_a_saved_training(
    interval: int, saved: str, project: Project, tool: Tool, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is not saved yet is saved after the next iteration: in a validation the model may hold averaged weights."""
    checkpoint = f"dict(type='CheckpointHook', interval={interval})"
    argv = [config(project, "step='before_val_epoch', iteration=2", checkpoint=checkpoint), '--work-dir', 'run']
    assert tool('train', argv) == 143
    assert [file.name for file in (project.cwd / 'run').glob('*.pth')] == [saved]
    assert saved in capfd.readouterr().err


def test_a_second_signal_stops_at_once(project: Project, tool: Tool, capfd: pytest.CaptureFixture[str]) -> None:
    """It may come in the middle of saving: the temporary file is removed, the last checkpoint stays whole."""
    argv = [
        config(project, "step='before_save_checkpoint', names=['SIGTERM', 'SIGINT'], iteration=4"),
        '--work-dir',
        'run',
    ]
    assert tool('train', argv) == 130
    run = project.cwd / 'run'
    assert [file.name for file in run.glob('*.pth')] == ['epoch_1.pth']
    assert leftovers(run) == []
    assert f'stopped by SIGINT: the last checkpoint {run / "epoch_1.pth"} is whole' in capfd.readouterr().err


def test_before_the_first_iteration_it_stops_at_once(
    project: Project, tool: Tool, capfd: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to save yet."""
    assert tool('train', [config(project, "step='before_train'"), '--work-dir', 'run']) == 143
    assert list((project.cwd / 'run').glob('*.pth')) == []
    assert 'stopped by SIGTERM: no checkpoint has been saved yet; start again' in capfd.readouterr().err


def test_a_test_stops_at_once(project: Project, tool: Tool, capfd: pytest.CaptureFixture[str]) -> None:
    """One line, and no predictions of a part of the images."""
    assert tool('train', [str(project.config()), '--work-dir', 'run']) == 0
    capfd.readouterr()
    argv = [config(project, "step='after_test_iter'"), 'run/epoch_1.pth', '--work-dir', 'tested', '--out', 'out.pkl']
    assert tool('test', argv) == 143
    out, err = capfd.readouterr()
    assert (err.splitlines()[-1], 'Traceback' in out + err) == ('stopped by SIGTERM', False)
    assert not Path('out.pkl').exists()


@pytest.mark.parametrize(
    ('checkpoint', 'files', 'words'),
    [
        ('None', [], 'iteration 3 is not saved, because the config has no CheckpointHook'),
        ("dict(type='OwnCheckpoints', interval=5)", ['interrupted_iter_3.pth'], 'iteration 3 is saved in'),
    ],
)
def test_other_hooks_for_checkpoints(
    checkpoint: str, files: list[str], words: str, project: Project, tool: Tool, capfd: pytest.CaptureFixture[str]
) -> None:
    """A hook of the user's own class that is derived from mmengine's saves; without any, nothing is written."""
    argv = [config(project, "step='before_train_iter', iteration=2", checkpoint=checkpoint), '--work-dir', 'run']
    assert tool('train', argv) == 143
    assert [file.name for file in (project.cwd / 'run').glob('*.pth')] == files
    assert words in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize('method', ['fork', 'spawn'])
@pytest.mark.parametrize(('name', 'code'), [('SIGTERM', 143), ('SIGINT', 130)])
def test_workers_that_get_the_signal_do_not_disturb(
    name: str, code: int, method: str, project: Project, repository: Path
) -> None:
    """Ctrl-C and batch systems signal all processes: no traceback, no waiting, and a whole checkpoint.

    Spawned workers do not have the handler. If they die before the iteration is over, the checkpoint before remains.
    """
    more = f"""
train_dataloader.update(num_workers=2, batch_size=1, persistent_workers={method == 'fork'})
env_cfg = dict(mp_cfg=dict(mp_start_method='{method}'))
"""
    sent = f"step='before_train_iter', names=['{name}'], iteration=5, group=True"
    command = [sys.executable, str(repository / 'tools' / 'train.py'), config(project, sent, more=more)]
    path = os.pathsep.join([str(repository), str(repository / 'tests' / 'support')])
    env = {**os.environ, 'PYTHONPATH': path}
    done = subprocess.run([*command, '--work-dir', 'run'], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, 'Traceback' in done.stderr) == (code, False), done.stderr
    last = last_checkpoint(project.cwd / 'run')
    assert last is not None
    assert find_damage(last) is None
    assert last.name == 'interrupted_iter_6.pth' or (method == 'spawn' and last.name == 'epoch_1.pth')
    assert f'stopped by {name}: ' in done.stderr.splitlines()[-1]
    assert str(last) in done.stderr.splitlines()[-1]


def test_handlers_are_put_back(project: Project, tool: Tool) -> None:
    """A program that calls a tool keeps its own handlers."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert tool('train', [config(project, "step='before_train_iter', iteration=2"), '--work-dir', 'run']) == 143
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
