"""A training that is killed while it saves, or finds the disk full then, keeps a whole checkpoint and continues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch

from resnest_mm.atomic import leftovers
from resnest_mm.training.work_dir import last_checkpoint
from resnest_mm.weights.io.damage import find_damage
from tests.support.amounts import amount, record_counts
from tests.support.killed_saves import STEPS, Trap, train_in_a_process
from tests.support.projects import Project

KEEP_ONE = """
train_cfg = dict(by_epoch=True, max_epochs=3)
default_hooks = dict(
    checkpoint=dict(type='CheckpointHook', max_keep_ckpts=1, interval=1, save_best='seen', rule='less'))
"""
"""Each save supersedes the one before; the metric `seen` is 4 in each epoch, so the first is the best."""

TRAPS = [
    Trap('before deleting', 'epoch_1.pth'),
    Trap('amid writing', 'epoch_2.pth'),
    Trap('full disk', 'epoch_3.pth'),
    # The last checkpoint is never deleted, and `last_checkpoint` has a trap of its own.
    *(Trap(step, 'epoch_2.pth') for step in STEPS if step != 'before noting'),
    *(Trap(step, 'epoch_3.pth') for step in STEPS if step not in ('before noting', 'before deleting')),
    *(Trap('before noting', 'epoch', skipped) for skipped in (0, 1, 2)),
    *(Trap('amid writing', 'epoch_1.pth', skipped) for skipped in (0, 1)),
    Trap('amid writing', 'best_'),
    Trap('before renaming', 'best_'),
    Trap('before flushing', 'best_'),
    Trap('full disk', 'best_'),
    Trap('full disk', 'epoch_1.pth'),
]


def test_kills_while_saving(project: Project, record_property: Callable[[str, object], None]) -> None:
    """After each kill, what `last_checkpoint` names is whole, and `--resume` trains to the end."""
    config = str(project.config(KEEP_ONE))
    outcomes: Counter[str] = Counter()
    for number, trap in enumerate(TRAPS[: amount(3, whole=len(TRAPS))]):
        run = project.cwd / str(number)
        argv = [config, '--work-dir', run.name]
        code = train_in_a_process(argv, trap=trap)
        assert code == (3 if trap.step == 'full disk' else -9), trap
        assert trap.step != 'full disk' or leftovers(run) == []
        last = last_checkpoint(run)
        for path in run.glob('*.pth'):
            assert find_damage(path) is None, (trap, path)
        if last is None:
            outcomes['before the first checkpoint'] += 1
        else:
            assert torch.load(last, weights_only=False)['meta']['iter'] > 0
            outcomes['with a whole checkpoint'] += 1
        assert train_in_a_process([*argv, '--resume']) == 0, trap
        assert last_checkpoint(run) == run / 'epoch_3.pth'
        assert leftovers(run) == []
        kept = {path.name for path in run.glob('epoch_*.pth')}
        assert kept == {'epoch_3.pth'}, (trap, kept)
    record_counts(record_property, 'kills and full disks while saving', outcomes)
