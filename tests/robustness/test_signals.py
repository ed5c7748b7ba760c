"""A training that gets SIGTERM or SIGINT saves the iteration, says where, and continues from there."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable

import torch

from resnest_mm.atomic import leftovers
from resnest_mm.training.work_dir import last_checkpoint
from resnest_mm.weights.io.damage import find_damage
from tests.support.amounts import amount, record_counts
from tests.support.projects import Project
from tests.support.signalled import Arrival, train_until

THREE = """
train_cfg = dict(by_epoch=True, max_epochs=3)
train_dataloader.update(batch_size=1)
default_hooks = dict(checkpoint=dict(type='CheckpointHook', max_keep_ckpts=1, interval=1))
"""
WORKERS = 'train_dataloader.update(num_workers=2, persistent_workers=True)\n'

ARRIVALS = [
    (Arrival('before_train_iter', skipped=1), 'interrupted_iter_2.pth'),
    (Arrival('before_train_iter', signal.SIGINT, skipped=1, group=True), 'interrupted_iter_2.pth'),
    (Arrival('second'), None),
    (Arrival('before_val'), 'epoch_1.pth'),
    (Arrival('before_train'), None),
    (Arrival('before_train_iter', signal.SIGINT), 'interrupted_iter_1.pth'),
    (Arrival('before_train_iter', group=True, skipped=1), 'interrupted_iter_2.pth'),
    (Arrival('after_train_iter', skipped=0), 'interrupted_iter_2.pth'),
    (Arrival('saving'), 'epoch_1.pth'),
    (Arrival('saving', signal.SIGINT, skipped=1), 'epoch_2.pth'),
    (Arrival('before_val', signal.SIGINT, skipped=1, group=True), 'epoch_2.pth'),
    (Arrival('before_val_iter', skipped=1), 'epoch_1.pth'),
    (Arrival('before_train_epoch', skipped=1), 'interrupted_iter_5.pth'),
]
"""When the signal arrives, and the checkpoint that is the last one then."""


def test_signals(project: Project, record_property: Callable[[str, object], None]) -> None:
    """Exit code, line and last checkpoint are those documented, no traceback is printed, and `--resume` continues."""
    outcomes: Counter[str] = Counter()
    for number, (arrival, expected) in enumerate(ARRIVALS[: amount(1, whole=len(ARRIVALS))]):
        config = str(project.config(THREE + WORKERS * arrival.group))
        run, errors = project.cwd / str(number), project.cwd / f'{number}.txt'
        argv = [config, '--work-dir', run.name]
        code = train_until(argv, arrival, errors)
        said = errors.read_text()
        assert code == 128 + arrival.number, (arrival, code, said)
        assert 'Traceback' not in said, (arrival, said)
        name = signal.Signals(arrival.number).name
        lines = [line for line in said.splitlines() if line.startswith(f'stopped by {name}')]
        assert len(lines) == 1, (arrival, said)
        last = last_checkpoint(run)
        assert leftovers(run) == [], arrival
        assert (last and last.name) == expected, (arrival, said)
        if last is not None:
            assert find_damage(last) is None
            assert torch.load(last, weights_only=False)['meta']['iter'] > 0
            assert str(last) in lines[0] and '--resume' in lines[0]
        outcomes[f'last checkpoint {"whole" if last else "none yet"}'] += 1
        assert train_until([*argv, '--resume'], None, errors) == 0, (arrival, errors.read_text())
        assert last_checkpoint(run) == run / 'epoch_3.pth'
        assert [path.name for path in run.glob('*.pth')] == ['epoch_3.pth'], arrival
    record_counts(record_property, 'signals during a training', outcomes)
