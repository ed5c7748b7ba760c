"""A resumed training equals the uninterrupted one in every tensor, whatever draws random numbers in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from mmengine.config import Config

from resnest_mm.training.hooks.exact_resume import ENTRY
from resnest_mm.training.safety.resumed_seed import apply_resumed_seed
from tests.support.amounts import WHOLE
from tests.support.projects import RANDOM, Project
from tests.support.random_trainings import EPOCHS, EVERY_4, TRAININGS
from tests.support.same_checkpoints import differing_tensors, last_saved

Tool = Callable[[str, Sequence[str]], int]

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


def killed(project: Project, tool: Tool, edits: str, **arguments: Any) -> None:
    """Train in `cut` until the hook ends it. mmengine imports the class of its exception under another name."""
    hook = f'dict(type="KillHook", **{arguments})'
    line = f'custom_hooks = [{hook}]\n'
    line = line if 'custom_hooks' not in edits else f'custom_hooks.append({hook})\n'
    with pytest.raises(Exception, match=r'^$') as raised:
        tool('train', [str(project.config(RANDOM + edits + line)), '--work-dir', 'cut'])
    assert type(raised.value).__name__ == 'Killed'


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
    assert differing_tensors(last_saved(project.cwd / 'whole'), last_saved(project.cwd / 'cut')) == []


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
