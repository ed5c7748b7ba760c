"""A training whose loss or weights are not finite stops with a message and keeps its last good checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from resnest_mm.training.safety.non_finite import non_finite_entries
from tests.support.projects import Project

Tool = Callable[[str, Sequence[str]], int]

PARTS = """
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS, MODELS, OPTIM_WRAPPERS, RUNNERS
from mmengine.runner import Runner
from micro_parts import MicroModel


@MODELS.register_module()
class Diverging(MicroModel):
    # The output of `conv` is Inf in the iterations of `bad`, counted from 1; a loss term of its own follows from it.
    def __init__(self, *, bad, **settings):
        super().__init__(**settings)
        self.bad, self.done = set(bad), 0
        self.conv.register_forward_hook(lambda module, inputs, output: output * self.factor())
        self.register_buffer('limit', torch.tensor(float('inf')))

    def factor(self):
        return float('inf') if self.done in self.bad and self.training else 1.0

    def forward(self, inputs, label, mode='tensor'):
        self.done += mode == 'loss' and torch.is_grad_enabled()
        out = super().forward(inputs, label, mode)
        return {'loss_fine': self.conv.weight.square().sum(), 'loss_box': [out['loss']]} if mode == 'loss' else out


@OPTIM_WRAPPERS.register_module()
class Skipping(OptimWrapper):
    # What the loss scaler of mixed precision does: no update where a gradient is not finite.
    def step(self, **settings):
        if all(part.grad.isfinite().all() for group in self.param_groups for part in group['params']):
            super().step(**settings)


@HOOKS.register_module()
class Spoil(Hook):
    # Makes a weight, a running statistic or an average Inf after an iteration whose loss is finite.
    priority = 'HIGHEST'

    def __init__(self, *, name, at):
        self.name, self.at = name, at

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.at:
            model = runner.model
            if self.name.startswith('ema.'):
                model = next(hook.ema_model.module for hook in runner.hooks if hasattr(hook, 'ema_model'))
            with torch.no_grad():
                model.state_dict()[self.name.removeprefix('ema.')].fill_(float('inf'))


@RUNNERS.register_module()
class OwnRunner(Runner):
    pass
"""

BAD = """
custom_imports = dict(imports=['micro_parts', 'diverging_parts'], allow_failed_imports=False)
model = dict(type='Diverging', width=2, norm_cfg=dict({norm}), bad={bad})
train_dataloader = dict(batch_size=1, num_workers=0, dataset=dict(type='RepeatDataset', times=5, dataset=dataset),
                        sampler=dict(type='DefaultSampler', shuffle=False))
default_hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1, max_keep_ckpts=1))
"""
ITERATIONS = 'train_cfg = dict(by_epoch=False, max_iters=6, val_interval=10)\n'
GROUP = "type='GN', num_groups=1"  # keeps no statistics
SKIPPING = "optim_wrapper = dict(type='Skipping', optimizer=dict(type='SGD', lr=0.001))\n"


@pytest.fixture
def diverging(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    (project.root / 'diverging_parts.py').write_text(PARTS, encoding='utf-8')
    monkeypatch.syspath_prepend(str(project.root))

    def config(edits: str = '', *, bad: Sequence[int] = (), norm: str = "type='BN'") -> Path:
        return project.config(BAD.format(bad=list(bad), norm=norm) + ITERATIONS + edits)

    return config


def checkpoint(folder: Path) -> dict[str, Any]:
    """Return the one checkpoint that is left, which must be finite."""
    (path,) = folder.glob('*.pth')
    assert (folder / 'last_checkpoint').read_text(encoding='utf-8').endswith(path.name)
    content: dict[str, Any] = torch.load(path, weights_only=False)
    parts = {key: content[key] for key in ('state_dict', 'optimizer')}
    assert [name for name in non_finite_entries(parts) if 'limit' not in name] == []
    return content


LOOPS = {
    'iterations': '',
    'epochs': 'train_cfg = dict(by_epoch=True, max_epochs=2)\n',
    'accumulate': "optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.08), "
    'accumulative_counts=2)\n',
    'own runner': "runner_type = 'OwnRunner'\n",
}


@pytest.mark.parametrize('loop', LOOPS)
def test_a_training_whose_loss_is_not_finite_stops(
    loop: str, diverging: Callable[..., Path], project: Project, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line: iteration, term, first module and last checkpoint; `--resume` continues from that one."""
    config = diverging(LOOPS[loop], bad=[4])
    assert tool('train', [str(config), '--work-dir', 'run']) == 3
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error: ')]
    assert 'the loss of iteration 4 is not finite: loss_box is ' in line and 'loss_fine' not in line
    assert 'not finite: conv (Conv2d; its input and its weights are finite); the weights are not finite' in line
    assert 'the last checkpoint is ' in line and 'iter_3.pth' in line
    assert checkpoint(project.cwd / 'run')['meta']['iter'] == 3
    assert tool('train', [str(diverging(LOOPS[loop])), '--work-dir', 'run', '--resume']) == 0
    assert checkpoint(project.cwd / 'run')['meta']['iter'] > 4


def test_skipped_updates_are_warned_of_until_patience_ends(
    diverging: Callable[..., Path], project: Project, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """In mixed precision the weights stay finite: three bad iterations in a row stop it, two and two do not."""
    config = diverging(SKIPPING, bad=[1, 2, 4, 5], norm=GROUP)
    assert tool('train', [str(config), '--work-dir', 'run']) == 0
    assert checkpoint(project.cwd / 'run')['meta']['iter'] == 6
    log = ''.join(path.read_text(encoding='utf-8') for path in (project.cwd / 'run').rglob('*.log'))
    assert log.count('of patience=3 such iterations in a row') == 4
    config = diverging(SKIPPING, bad=[2, 3, 4, 5], norm=GROUP)
    assert tool('train', [str(config), '--work-dir', 'again']) == 3
    error = capsys.readouterr().err
    assert 'the loss of iteration 4 is not finite' in error and '3 such iterations in a row' in error
    hook = "custom_hooks = [dict(type='resnest_mm.NonFiniteGuardHook', patience=1)]\n"
    assert tool('train', [str(diverging(SKIPPING + hook, bad=[2], norm=GROUP)), '--work-dir', 'first']) == 3
    assert 'the loss of iteration 2 is not finite' in capsys.readouterr().err


@pytest.mark.parametrize('name', ['conv.weight', 'norm.running_mean', 'norm.running_var', 'ema.conv.weight'])
def test_a_checkpoint_that_is_not_finite_is_not_saved(
    name: str, diverging: Callable[..., Path], project: Project, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights, statistics and averages that become Inf after a finite loss; a constant of Inf is no reason."""
    config = diverging(f"custom_hooks = [dict(type='EMAHook'), dict(type='Spoil', name='{name}', at=4)]\n")
    assert tool('train', [str(config), '--work-dir', 'run']) == 3
    error = capsys.readouterr().err
    assert 'the checkpoint of iteration 4 is not saved' in error and name.removeprefix('ema.') in error
    assert checkpoint(project.cwd / 'run')['meta']['iter'] == 3


def test_the_guard_changes_no_number(
    diverging: Callable[..., Path], project: Project, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights of a normal training are equal to the bit with the hook and without."""
    assert tool('train', [str(diverging()), '--work-dir', 'with']) == 0
    monkeypatch.setattr('resnest_mm.training.plan.apply_own_hooks', lambda cfg: cfg)
    assert tool('train', [str(diverging()), '--work-dir', 'without']) == 0
    ours, theirs = (checkpoint(project.cwd / name)['state_dict'] for name in ('with', 'without'))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
