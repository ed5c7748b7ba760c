"""A checkpoint that does not fill the model is refused before anything is written, unless `--partial` is given."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from resnest_mm.weights.hub.cache import FOLDER_VARIABLE
from tests.support.made_checkpoints import expect_refusal
from tests.support.mirrors import mirrors_running, serves
from tests.support.projects import Project

Tool = Callable[[str, Sequence[str]], int]
EMA = "custom_hooks = [dict(type='EMAHook', strict_load=True)]\n"


@pytest.fixture
def trained(project: Project, tool: Tool, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return the checkpoint of a training with two channels."""
    assert tool('train', [str(project.config()), '--work-dir', 'run']) == 0
    capsys.readouterr()
    return project.cwd / 'run' / 'epoch_1.pth'


def change(file: Path, edit: Callable[[dict[str, Any]], object], *, name: str = 'changed.pth') -> str:
    """Write a copy of a checkpoint with another content, and return its name."""
    content = torch.load(file, weights_only=False)
    edit(content)
    torch.save(content, file.with_name(name))
    return f'run/{name}'


def drop(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda content: content['state_dict'].pop(key)


def put(key: str, value: Tensor) -> Callable[[dict[str, Any]], object]:
    return lambda content: content['state_dict'].update({key: value})


def replace_state(state: dict[str, Tensor]) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.update(state_dict=state)


MISFITS = [
    pytest.param(drop('conv.weight'), 'fills 5 of the 6 tensors of the model; 1 missing: conv.weight', id='missing'),
    pytest.param(put('a.b', torch.ones(1)), 'fills 6 of the 6 tensors of the model; 1 unknown: a.b', id='unknown'),
    pytest.param(
        put('conv.bias', torch.ones(7)),
        'fills 5 of the 6 tensors of the model; 1 of another shape: conv.bias (7) for (2)',
        id='reshaped',
    ),
    pytest.param(replace_state({}), 'holds no tensors', id='empty'),
    pytest.param(
        replace_state({'other': torch.ones(1)}),
        'fills 0 of the 6 tensors of the model; 6 missing: conv.weight, conv.bias, norm.weight and 3 more; '
        '1 unknown: other',
        id='another model',
    ),
]


@pytest.mark.parametrize(('edit', 'message'), MISFITS)
@pytest.mark.parametrize('door', ['test', 'load_from', 'resume'])
def test_what_does_not_fill_the_model_is_refused(
    door: str,
    edit: Callable[[dict[str, Any]], object],
    message: str,
    project: Project,
    trained: Path,
    tool: Tool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """mmengine would score, or train from, the random weights of all layers that the file does not have."""
    file = change(trained, edit)
    config = str(project.config())
    argv = {
        'test': ['test', config, file],
        'load_from': ['train', config, '--cfg-options', f'load_from={file}'],
        'resume': ['train', config, '--resume', file],
    }[door]
    error = expect_refusal(tool, argv[0], [*argv[1:], '--work-dir', 'new'], project.cwd, capsys)
    assert message in error
    assert file in error
    assert {'test': 'CHECKPOINT', 'load_from': 'load_from', 'resume': '--resume'}[door] in error


@pytest.mark.parametrize('hooks', ['', EMA], ids=['plain', 'EMA'])
@pytest.mark.parametrize('door', ['test', 'load_from'])
def test_partial_loads_what_fits_and_prints_the_same_list(
    door: str, hooks: str, project: Project, trained: Path, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """mmengine's EMAHook can be strict on its own, and a run with `--partial` must not end there."""
    edits = [drop('norm.weight'), put('a.b', torch.ones(1)), put('conv.bias', torch.ones(7))]
    file = change(trained, lambda content: [edit(content) for edit in edits])
    config = str(project.config(hooks))
    argv = [config, file] if door == 'test' else [config, '--cfg-options', f'load_from={file}']
    name = 'train' if door == 'load_from' else door
    assert tool(name, [*argv, '--partial', '--work-dir', 'new']) == 0
    out = capsys.readouterr().out
    expected = (
        f'{file} does not fit: it fills 4 of the 6 tensors of the model; 1 missing: norm.weight; 1 unknown: a.b; '
        '1 of another shape: conv.bias (7) for (2)'
    )
    assert sum(expected in line for line in out.splitlines()) == 1


def test_partial_does_not_resume_without_weights(
    project: Project, trained: Path, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A continued training whose optimizer knows other tensors is none; a tensor too many does no harm."""
    config = str(project.config())
    short = change(trained, drop('conv.weight'))
    argv = [config, '--resume', short, '--partial', '--work-dir', 'new']
    assert '--partial is for load_from' in expect_refusal(tool, 'train', argv, project.cwd, capsys)
    more = change(trained, put('a.b', torch.ones(1)))
    assert tool('train', [config, '--resume', more, '--partial', '--work-dir', 'new']) == 0


def test_other_heads_are_called_a_fine_tuning(
    project: Project, trained: Path, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commonest partial load is a detector of other classes; the message says so with both numbers."""
    classes = [f'class {number}' for number in range(7)]
    edits = [put('conv.bias', torch.ones(7)), lambda content: content['meta'].update(dataset_meta={'classes': classes})]
    file = change(trained, lambda content: [edit(content) for edit in edits])
    config = project.config("dataset['metainfo'] = dict(classes=['a'])\n")
    argv = [str(config), '--work-dir', 'new', '--cfg-options', f'load_from={file}']
    error = expect_refusal(tool, 'train', argv, project.cwd, capsys)
    assert 'the layers of another shape are those of 7 classes, and the config has 1 class' in error
    assert 'to fine-tune to other classes, say --partial: these layers then start from their initial values' in error


def test_a_training_that_always_resumes_begins_with_load_from(
    project: Project, trained: Path, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job that is preempted and started again by one command must not forget its weights at the first start."""
    still = "optim_wrapper['optimizer']['lr'] = 0.0\n"
    file = change(trained, put('conv.bias', torch.tensor([3.0, 5.0])))
    argv = [str(project.config(f'{still}load_from = {file!r}\n')), '--work-dir', 'new', '--resume']
    assert tool('train', argv) == 0
    assert (
        f'--resume: no checkpoint in new; training starts with the weights of load_from, {file}'
        in capsys.readouterr().out
    )
    saved = torch.load(project.cwd / 'new' / 'epoch_1.pth', weights_only=False)
    assert saved['state_dict']['conv.bias'].tolist() == [3.0, 5.0]
    Path(file).unlink()
    assert tool('train', [*argv, '--cfg-options', 'train_cfg.max_epochs=2']) == 0
    saved = torch.load(project.cwd / 'new' / 'epoch_2.pth', weights_only=False)
    assert (saved['meta']['iter'], saved['state_dict']['conv.bias'].tolist()) == (4, [3.0, 5.0])


def strip_to_plain(content: dict[str, Any]) -> None:
    state = {f'module.{key}': value for key, value in content['state_dict'].items()}
    content.clear()
    content.update(state)


def add_what_mmengine_ignores(content: dict[str, Any]) -> None:
    state = content['state_dict']
    state.pop('norm.num_batches_tracked')
    state['data_preprocessor.mean'] = torch.zeros(3)
    state['ema_conv_weight'] = state['conv.weight']
    content['ema_state_dict'] = {'steps': torch.tensor(1), **{f'module.{key}': state[key] for key in list(state)}}


@pytest.mark.parametrize('edit', [strip_to_plain, add_what_mmengine_ignores])
def test_what_mmengine_loads_whole_is_not_refused(
    edit: Callable[[dict[str, Any]], object], project: Project, trained: Path, tool: Tool
) -> None:
    """Prefixes of wrappers, counters, buffers of the preprocessor and averages of earlier versions are no fault."""
    assert tool('test', [str(project.config()), change(trained, edit), '--work-dir', 'new']) == 0


VALUES = [
    pytest.param(
        'conv.weight', lambda value: value.fill_(float('nan')), 'has NaN or Inf in 1 tensors: conv.weight (2 of 2)'
    ),
    pytest.param(
        'conv.bias', lambda value: value.fill_(float('inf')), 'has NaN or Inf in 1 tensors: conv.bias (2 of 2)'
    ),
    pytest.param('norm.running_var', lambda value: -value, 'has negative variances in 1 tensors: norm.running_var'),
    pytest.param(
        'conv.bias', lambda value: value.to(torch.int8), 'that are not floating-point in 1 tensors: conv.bias (int8)'
    ),
]


@pytest.mark.parametrize('door', ['test', 'load_from', 'resume'])
@pytest.mark.parametrize(('key', 'edit', 'message'), VALUES, ids=['nan', 'inf', 'variance', 'int8'])
def test_weights_that_no_training_leaves_behind_are_refused(
    key: str,
    edit: Callable[[Tensor], Tensor],
    message: str,
    door: str,
    project: Project,
    trained: Path,
    tool: Tool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def put_in(content: dict[str, Any]) -> None:
        content['state_dict'][key] = edit(content['state_dict'][key])

    file = change(trained, put_in)
    config = str(project.config())
    argv = {
        'test': ['test', config, file, '--partial'],
        'load_from': ['train', config, '--partial', '--cfg-options', f'load_from={file}'],
        'resume': ['train', config, '--resume', file],
    }[door]
    error = expect_refusal(tool, argv[0], [*argv[1:], '--work-dir', 'new'], project.cwd, capsys)
    assert message in error


@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        (['b', 'a', 'c'], "the file's classes are in another order: label 0 is 'b' there and 'a' in the config"),
        (['a', 'b', 'd'], "label 2 is 'd' in the file and 'c' in the config"),
        (['a', 'b'], 'the file has 2 classes, the config 3'),
        (['A', 'b', 'c'], None),
        (['a', 'b', 'c'], None),
        (None, None),
    ],
)
def test_a_test_compares_the_classes_of_file_and_config(
    classes: list[str] | None,
    message: str | None,
    project: Project,
    trained: Path,
    tool: Tool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the same classes in another order every tensor fits, and each prediction counts for another class."""
    file = change(trained, lambda content: content['meta'].update(dataset_meta=classes and {'classes': classes}))
    argv = [str(project.config("dataset['metainfo'] = dict(classes=['a', 'b', 'c'])\n")), file, '--work-dir', 'new']
    if message is None:
        assert tool('test', argv) == 0
        return
    assert message in expect_refusal(tool, 'test', argv, project.cwd, capsys)
    assert tool('test', [*argv, '--partial']) == 0
    assert message in capsys.readouterr().out


def test_a_url_is_downloaded_checked_and_loaded_as_one_file(
    project: Project, trained: Path, tool: Tool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """mmengine would keep both under `epoch_1.pth`, and test the first one twice."""
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, '_hub_dir', str(project.root / 'hub'))
    config = str(project.config())
    scores = []
    with mirrors_running() as server:
        for number in (0.0, 4.0):
            file = change(trained, put('norm.bias', torch.full((2,), number)))
            url = server.plays(f'/{number}/epoch_1.pth', serves(Path(file).read_bytes()))
            capsys.readouterr()
            assert tool('test', [config, url, '--work-dir', 'new']) == 0
            scores.append(float(re.findall(r'score: (\S+)', capsys.readouterr().out)[-1]))
        assert scores[1] == pytest.approx(scores[0] + 4 * 4.0, abs=1e-3)
        assert len(server.requests) == 2
        wrong = server.plays('/wrong/epoch_1.pth', serves(Path(change(trained, drop('conv.weight'))).read_bytes()))
        argv = [str(project.config(f'load_from = {wrong!r}\n')), '--work-dir', 'wrong']
        assert tool('train', argv) == 2
        error = capsys.readouterr().err
        assert '1 missing: conv.weight' in error and str(project.root / 'hub') in error
        assert not (project.cwd / 'wrong').exists()
        assert tool('train', [*argv, '--partial']) == 0
        assert server.asked('/wrong/epoch_1.pth') == 1


def test_a_checkpoint_that_is_none_of_a_training_is_not_resumed(
    project: Project, trained: Path, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A published file fills the model, but has no epoch and no iteration to continue from."""
    config = str(project.config())
    for name, edit in (
        ('meta', lambda content: content.pop('meta')),
        ('iter', lambda content: content['meta'].pop('iter')),
    ):
        file = change(trained, edit, name=f'{name}.pth')
        error = expect_refusal(tool, 'train', [config, '--resume', file, '--work-dir', 'new'], project.cwd, capsys)
        assert file in error and 'load_from' in error
