"""A leading `~` is the home folder in every path of the tools, also where no shell replaces it: `--work-dir=~/run`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from resnest_mm.training.plan import TrainArguments, plan_training
from tests.support.projects import Project

Tool = Callable[[str, Sequence[str]], int]


def test_every_path_of_train_and_test(project: Project, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Config, work_dir, data, resumed and tested checkpoint, load_from, and predictions; no folder is called `~`."""
    monkeypatch.setenv('HOME', str(project.root))
    project.config()
    data = ('--cfg-options', 'data_root=~/data')
    assert tool('train', ['~/micro.py', '--work-dir', '~/run', *data]) == 0
    last = '~/run/epoch_1.pth'
    argv = ['~/micro.py', '--work-dir=~/run', '--resume', last, *data, 'train_cfg.max_epochs=2']
    assert tool('train', argv) == 0
    assert tool('test', ['~/micro.py', last, '--work-dir=~/tested', '--out', '~/out/all.pkl', *data]) == 0
    assert (project.root / 'run' / 'epoch_2.pth').is_file()
    assert (project.root / 'out' / 'all.pkl').is_file()
    config = project.config(f"load_from = '{last}'\nwork_dir = '~/third'\n")
    plan = plan_training(TrainArguments(config=str(config)))
    assert plan.cfg.load_from == str(project.root / 'run' / 'epoch_1.pth')
    assert plan.cfg.work_dir == str(project.root / 'third')
    assert tool('report', ['~/micro.py', '~/run', '--checkpoint', last]) == 0
    assert list(project.cwd.iterdir()) == []


def test_the_other_tools(project: Project, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints that are read and written, and data that is made."""
    monkeypatch.setenv('HOME', str(project.root))
    assert tool('train', [str(project.config()), '--work-dir', '~/run']) == 0
    assert tool('inspect_checkpoint', ['~/run/epoch_1.pth']) == 0
    assert tool('publish_checkpoint', ['~/run/epoch_1.pth', '~/published']) == 0
    assert len(list((project.root / 'published').glob('*.pth'))) == 1
    assert tool('make_demo_data', ['~/demo', '--images', '8']) == 0
    assert (project.root / 'demo').is_dir()
    assert tool('convert_checkpoint', ['~/gone.pth', '~/x.pth']) == 2
    assert list(Path.cwd().iterdir()) == []
