"""The order in which SafeCheckpointHook writes and deletes, and that each argument of mmengine's hook does the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mmengine.fileio
import pytest
import torch

from resnest_mm.atomic import leftovers
from resnest_mm.training.safety import checkpoint_hook
from tests.support.projects import Project

Tool = Callable[[str, Sequence[str]], int]

EPOCHS = """
train_cfg = dict(by_epoch=True, max_epochs={epochs})
default_hooks = dict(checkpoint=dict(type='CheckpointHook', {arguments}))
"""


def train(project: Project, tool: Tool, arguments: str, *options: str, epochs: int = 3) -> Path:
    config = project.config(EPOCHS.format(epochs=epochs, arguments=arguments))
    assert tool('train', [str(config), '--work-dir', 'run', *options]) == 0
    return project.cwd / 'run'


def test_the_old_checkpoint_is_deleted_last(project: Project, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write, flush, rename, the same for `last_checkpoint`, then delete; the best checkpoint likewise."""
    steps: list[tuple[str, str]] = []
    local = mmengine.fileio.LocalBackend
    put, fsync, replace, remove = local.put, os.fsync, os.replace, local.remove

    def note(step: str, path: Any) -> None:
        if Path(path).name.lstrip('.').startswith(('epoch', 'best', 'last')):
            steps.append((step, Path(path).name.lstrip('.').partition('.')[0]))

    def put_(backend: Any, content: bytes, path: Any) -> None:
        note('write', path)
        put(backend, content, path)

    def fsync_(descriptor: int) -> None:
        note('flush', os.readlink(f'/proc/self/fd/{descriptor}'))
        fsync(descriptor)

    def replace_(source: Any, target: Any) -> None:
        note('rename', target)
        replace(source, target)

    def remove_(backend: Any, path: Any) -> None:
        note('delete', path)
        remove(backend, path)

    monkeypatch.setattr(local, 'put', put_)
    monkeypatch.setattr(os, 'fsync', fsync_)
    monkeypatch.setattr(os, 'replace', replace_)
    monkeypatch.setattr(local, 'remove', remove_)
    train(project, tool, "interval=1, max_keep_ckpts=1, save_best='score', rule='greater'", epochs=1)
    steps.clear()
    train(project, tool, "interval=1, max_keep_ckpts=1, save_best='score', rule='greater'", '--resume', epochs=2)
    noted = [('flush', 'last_checkpoint'), ('rename', 'last_checkpoint')]
    saved = [('write', 'epoch_2'), ('flush', 'epoch_2'), ('rename', 'epoch_2'), *noted]
    best = [(step, 'best_score_epoch_2') for step in ('write', 'flush', 'rename')]
    # mmengine saves epoch_2 again, with the path of the best checkpoint in it.
    assert steps == [*saved, ('delete', 'epoch_1'), *best, *saved, ('delete', 'best_score_epoch_1')]


def test_what_a_killed_training_left_is_removed(project: Project, tool: Tool) -> None:
    """Only its own temporary files: a report may be writing one into the same folder."""
    names = ['.epoch_1.pth.7.tmp', '.last_checkpoint.7.tmp', '.report.json.7.tmp', '.notes.tmp']
    (project.cwd / 'run').mkdir()
    for name in names:
        (project.cwd / 'run' / name).touch()
    run = train(project, tool, 'interval=1', epochs=1)
    assert sorted(path.name for path in run.glob('.*.tmp')) == ['.notes.tmp', '.report.json.7.tmp']


SETTINGS = [
    'interval=1',
    'interval=2, max_keep_ckpts=1',
    'interval=1, max_keep_ckpts=2, save_last=False, save_begin=2',
    'interval=2, by_epoch=False, max_keep_ckpts=2, save_optimizer=False, save_param_scheduler=False',
    "interval=1, save_best=['seen', 'score'], rule=['less', 'greater'], max_keep_ckpts=1",
    "interval=2, save_best='auto', rule='greater', filename_tmpl='part-{}.pth'",
    "interval=1, out_dir='elsewhere', published_keys=['meta', 'state_dict'], save_best='score', rule='greater'",
    "interval=-1, save_last=False, save_best='score', rule='greater'",
    "interval=1, max_keep_ckpts=1, backend_args=dict(backend='local')",
    "interval=1, max_keep_ckpts=1, file_client_args=dict(backend='disk')",
]


@pytest.mark.parametrize('arguments', SETTINGS)
def test_each_argument_does_what_it_does_in_mmengines_hook(
    arguments: str, project: Project, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same files with the same entries, after a training and after its continuation."""

    def contents() -> dict[str, tuple[list[str], Any]]:
        found = {}
        for path in project.cwd.rglob('*.pth'):
            name = path.name.rpartition('-')[0] or path.name if 'published' in arguments else path.name
            loaded = torch.load(path, weights_only=False)
            found[name] = (sorted(loaded), loaded['meta']['iter'], loaded['meta']['epoch'])
            path.unlink()
        return found

    train(project, tool, arguments, epochs=2)
    train(project, tool, arguments, '--resume', epochs=3)
    assert leftovers(project.cwd / 'run') == []
    last = (project.cwd / 'run' / 'last_checkpoint').exists()
    ours = contents()
    (project.cwd / 'run' / 'last_checkpoint').unlink(missing_ok=True)
    monkeypatch.setattr('resnest_mm.training.plan.apply_safe_checkpoints', lambda cfg: cfg)
    train(project, tool, arguments, epochs=2)
    train(project, tool, arguments, '--resume', epochs=3)
    assert (project.cwd / 'run' / 'last_checkpoint').exists() is last
    assert ours == contents()
    assert checkpoint_hook.SAFE not in (project.cwd / 'run' / 'micro.py').read_text(encoding='utf-8')
