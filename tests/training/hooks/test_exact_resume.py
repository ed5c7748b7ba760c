"""A resumed training equals the uninterrupted one in every tensor, whatever draws random numbers in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import Tensor

from resnest_mm.training.hooks.exact_resume import ENTRY
from resnest_mm.training.safety.resumed_seed import apply_resumed_seed
from tests.support.amounts import WHOLE
from tests.support.projects import RANDOM, Project

Tool = Callable[[str, Sequence[str]], int]

EPOCHS = 'train_cfg = dict(by_epoch=True, max_epochs=3, val_interval=1)\n'
ITERATIONS = (
    "train_cfg = dict(type='IterBasedTrainLoop', max_iters=18, val_interval=5)\n"
    "train_dataloader.update(sampler=dict(type='InfiniteSampler', shuffle=True))\n"
)
EVERY_4 = "default_hooks.update(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=4))\n"
BEST = (
    "default_hooks.update(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=5, save_best='score', "
    "rule='greater'))\n"
)
WORKERS = 'train_dataloader.update(num_workers=2)\nval_dataloader.update(num_workers=1)\n'
PERSISTENT = WORKERS + (
    'train_dataloader.update(persistent_workers=True)\nval_dataloader.update(persistent_workers=True)\n'
)
EMA = "custom_hooks = [dict(type='EMAHook', momentum=0.1)]\n"
EMA_AND_STATISTICS = (
    "custom_hooks = [dict(type='EMAHook', momentum=0.1), dict(type='resnest_mm.PreciseBNHook', num_iters=3)]\n"
)
ADAM = "optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.01), accumulative_counts=3)\n"
PLATEAU = "param_scheduler = [dict(type='ReduceOnPlateauLR', monitor='score', rule='less', patience=0, factor=0.5)]\n"

TRAININGS = {
    'epochs': EPOCHS,
    'mid-epoch': EPOCHS + EVERY_4,
    'mid-epoch, workers': EPOCHS + EVERY_4 + WORKERS,
    'mid-epoch, persistent workers': EPOCHS + EVERY_4 + PERSISTENT,
    'epochs, persistent workers': EPOCHS + PERSISTENT,
    'epochs, EMA, precise BN': EPOCHS + EMA_AND_STATISTICS,
    'epochs, accumulated gradients': EPOCHS + EVERY_4 + ADAM,
    'epochs, learning rate of the score': EPOCHS + PLATEAU,
    'iterations': ITERATIONS + EVERY_4,
    'iterations, workers': ITERATIONS + EVERY_4 + WORKERS,
    'iterations, persistent workers': ITERATIONS + EVERY_4 + PERSISTENT,
    'iterations, EMA, best': ITERATIONS + BEST + EMA,
    'iterations, precise BN, accumulated gradients': ITERATIONS + EVERY_4 + EMA_AND_STATISTICS + ADAM,
}


PART = {
    name: edits for name, edits in TRAININGS.items() if WHOLE or ('iterations, w' not in name and 'persist' not in name)
}
"""Without those whose workers are slow to stop."""


@pytest.fixture(autouse=True)
def deterministic_mode_ends() -> Iterator[None]:
    """Leave the process as it was: deterministic mode is global."""
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic = False


def tensors(content: Mapping[str, Any], prefix: str = '') -> dict[str, Tensor]:
    """Return all tensors of a checkpoint that training computes, by dotted name."""
    found: dict[str, Tensor] = {}
    for name, value in content.items():
        if isinstance(value, Tensor):
            found[f'{prefix}{name}'] = value
        elif isinstance(value, Mapping | list) and name != 'message_hub':
            inner = value if isinstance(value, Mapping) else {str(i): item for i, item in enumerate(value)}
            found.update(tensors(inner, f'{prefix}{name}.'))
    return found


def last(work_dir: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load((work_dir / 'last_checkpoint').read_text(), weights_only=True)
    return content


def killed(project: Project, tool: Tool, edits: str, **arguments: Any) -> None:
    """Train in `cut` until the hook ends it. mmengine imports the class of its exception under another name."""
    hook = f'dict(type="KillHook", **{arguments})'
    line = f'custom_hooks = [{hook}]\n'
    line = line if 'custom_hooks' not in edits else f'custom_hooks.append({hook})\n'
    with pytest.raises(Exception, match=r'^$') as raised:
        tool('train', [str(project.config(RANDOM + edits + line)), '--work-dir', 'cut'])
    assert type(raised.value).__name__ == 'Killed'


def assert_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    assert one['meta']['iter'] == other['meta']['iter'] and one['meta']['epoch'] == other['meta']['epoch']
    first, second = tensors(one), tensors(other)
    assert first.keys() == second.keys() and len(first) > 20
    assert [name for name, value in first.items() if not torch.equal(value, second[name])] == []
    rates = [[group['lr'] for group in content['optimizer']['param_groups']] for content in (one, other)]
    assert rates[0] == rates[1]


@pytest.mark.parametrize('kill', [dict(after=9), dict(after=12, validating=True)], ids=['training', 'validation'])
@pytest.mark.parametrize('edits', PART.values(), ids=PART)
def test_a_killed_training_continues_exactly(
    project: Project, tool: Tool, edits: str, kill: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, running statistics, optimizer, averages, random states; killed in training or in a validation."""
    if 'iterations' in edits or 'IterBased' in edits:
        kill = {**kill, 'after': 10} if kill.get('validating') else kill
    assert tool('train', [str(project.config(RANDOM + edits)), '--work-dir', 'whole']) == 0
    killed(project, tool, edits, **kill)
    assert tool('train', [str(project.config(RANDOM + edits)), '--work-dir', 'cut', '--resume']) == 0
    assert_same(last(project.cwd / 'whole'), last(project.cwd / 'cut'))


def test_each_image_once_where_no_seed_is_set(project: Project, tool: Tool) -> None:
    """An epoch that goes on after a kill trains the images that it has not had, also under a random seed."""
    edits = RANDOM + EPOCHS + EVERY_4 + "randomness = dict(seed=None)\ncustom_hooks = [dict(type='SeenHook')]\n"
    killed(project, tool, edits.removeprefix(RANDOM), after=9)
    assert tool('train', [str(project.config(edits)), '--work-dir', 'cut', '--resume']) == 0
    seen = [line.split() for line in (project.cwd / 'seen.txt').read_text().splitlines()]
    labels = {int(number): label for number, *label in seen}  # an iteration that was lost is trained again
    assert sorted(labels) == list(range(18))
    for epoch in range(3):
        epochs_labels = sorted(label for number in range(epoch * 6, epoch * 6 + 6) for label in labels[number])
        assert epochs_labels == sorted(['0.0', '1.0', '2.0', '3.0'] * 3)


def test_a_checkpoint_without_the_entry_resumes_as_before(
    project: Project, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says in one line that the training does not continue exactly; without deterministic mode it says nothing."""
    edits = RANDOM + EPOCHS
    killed(project, tool, EPOCHS, after=9)
    path = project.cwd / 'cut' / 'epoch_1.pth'
    content = torch.load(path, weights_only=True)
    entry = content.pop(ENTRY)
    assert entry['iter'] == 6 and entry['batches'] == 0
    torch.save(content, path)
    for deterministic in (True, False):
        capsys.readouterr()
        lines = edits + f'randomness = dict(seed=0, deterministic={deterministic})\n'
        assert tool('train', [str(project.config(lines)), '--work-dir', 'cut', '--resume', str(path)]) == 0
        shown = capsys.readouterr()
        assert (shown.out + shown.err).count('does not continue bit for bit') == int(deterministic)


def test_the_seed_of_the_checkpoint_is_taken(project: Project, tool: Tool) -> None:
    """A config without a seed continues with that of the training before; one that sets a seed keeps it."""
    assert tool('train', [str(project.config(RANDOM + EPOCHS)), '--work-dir', 'run']) == 0
    path = str(project.cwd / 'run' / 'epoch_1.pth')
    content = {'resume': True, 'load_from': path}
    assert apply_resumed_seed(Config(content)).randomness == {'seed': 0}
    assert apply_resumed_seed(Config({**content, 'randomness': {'seed': 5}})).randomness == {'seed': 5}
    assert 'randomness' not in apply_resumed_seed(Config({**content, 'resume': False}))
