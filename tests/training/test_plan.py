"""From arguments in Python to the config of the Runner: values, notes, the order of the checks, and no side effects."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from resnest_mm.errors import UserError
from resnest_mm.models import ResNeSt
from resnest_mm.training import plan as plans
from resnest_mm.training.plan import TestArguments, TrainArguments, plan_testing, plan_training
from tests.support.projects import Project


def train(project: Project, edits: str = '', **arguments: Any) -> TrainArguments:
    return TrainArguments(config=str(project.config(edits)), **arguments)


def test_a_plan_has_the_config_and_the_notes_of_its_arguments(project: Project) -> None:
    options = {'train_dataloader.batch_size': 4}
    arguments = train(project, work_dir='run', cfg_options=options, single_gpu=True, resume='auto')
    before = project.files()
    plan = plan_training(arguments)
    assert plan.notes == (
        '--single-gpu: 1 SyncBN settings -> BN; lr 0.08 -> 0.02 (batch size 4 instead of 16)',
        '--resume: no checkpoint in run; training starts from the beginning',
    )
    assert plan.cfg.optim_wrapper.optimizer.lr == pytest.approx(0.02)
    assert plan.cfg.model.norm_cfg == {'type': 'BN'}
    assert (plan.cfg.work_dir, plan.cfg.resume, plan.cfg.load_from, plan.cfg.launcher) == ('run', True, None, 'none')
    assert project.files() == before
    assert options == {'train_dataloader.batch_size': 4}


def test_arguments_left_out_change_nothing_but_the_work_dir(project: Project) -> None:
    plan = plan_training(train(project))
    assert plan.cfg.work_dir == 'work_dirs/micro'
    assert (plan.cfg.get('resume', False), plan.cfg.auto_scale_lr.enable) == (False, False)
    assert plan.cfg.optim_wrapper == {'type': 'OptimWrapper', 'optimizer': {'type': 'SGD', 'lr': 0.08}}
    assert plan.notes == ('1 SyncBN settings act as BN in this single process; --single-gpu also scales the lr to it',)


def test_a_test_starts_from_its_checkpoint_alone(project: Project) -> None:
    weights = torch.nn.ModuleDict({'conv': torch.nn.Conv2d(1, 2, 1), 'norm': torch.nn.BatchNorm2d(2)}).state_dict()
    torch.save({'state_dict': weights}, project.cwd / 'a.pth')
    config = str(project.config("load_from = 'of_the_training.pth'\nresume = True\n"))
    before = project.files()
    plan = plan_testing(TestArguments(config=config, checkpoint='a.pth', out='boxes.pkl'))
    assert (plan.cfg.load_from, plan.cfg.resume) == ('a.pth', False)
    assert plan.cfg.test_evaluator[1] == {'type': 'DumpResults', 'out_file_path': 'boxes.pkl'}
    assert plan.notes == ()
    assert project.files() == before


def test_weights_are_downloaded_after_every_check(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt hook shall not cost a download."""
    fetched = []
    monkeypatch.setattr(plans, 'fetch_pretrained', lambda entries: fetched.extend(entries))
    monkeypatch.setattr(plans, 'check_initializers', lambda *_, **__: ())  # it reads what would have been fetched
    wanted = "model['backbone'] = dict(type='resnest_mm.ResNeSt', depth=50, pretrained='resnest50')\n"
    with pytest.raises(UserError, match=r'custom_hooks\.0'):
        plan_training(train(project, f"{wanted}custom_hooks = [dict(type='EMAHok')]\n"))
    assert fetched == []
    plan = plan_training(train(project, wanted))
    assert [entry.checkpoint for entry in fetched] == ['resnest50']
    # Weights of these images that nothing normalises.
    assert [note for note in plan.notes if note.startswith('warning: data_preprocessor does not suit model.backbone')]


def test_the_model_is_built_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest takes a second, and the Runner builds it again."""
    built = []
    build = ResNeSt.__init__

    def count(self: ResNeSt, **arguments: Any) -> None:
        built.append(arguments)
        build(self, **arguments)

    monkeypatch.setattr(ResNeSt, '__init__', count)
    plan_training(train(project, "model['backbone'] = dict(type='resnest_mm.ResNeSt', depth=14)\n"))
    assert built == [{'depth': 14}]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'launcher': 'torchrun'}, "launcher 'torchrun' is unknown; choose one of none, pytorch, slurm, mpi"),
        ({'cfg_options': {'optim_wrapper.optimzer.lr': 1}}, r'did you mean optim_wrapper\.optimizer\.lr'),
        ({'single_gpu': True, 'auto_scale_lr': True}, 'would both scale the learning rate'),
        ({'resume': 'gone.pth'}, '--resume: checkpoint gone.pth does not exist'),
    ],
)
def test_wrong_arguments_from_python_are_refused(changes: dict[str, Any], message: str, project: Project) -> None:
    before = project.files()
    with pytest.raises(UserError, match=message):
        plan_training(dataclasses.replace(train(project), **changes))
    assert {name for name in project.files() if not name.endswith('micro.py')} == set(before)
