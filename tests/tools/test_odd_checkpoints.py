"""Whatever stands where a checkpoint should is refused by every tool in one line, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from tests.support.made_checkpoints import Tool, expect_refusal
from tests.support.odd_checkpoints import NAMES, ODD
from tests.support.projects import Project

READ_BY_SOME = {'npz': ('inspect', 'publish'), 'detectron2': ('inspect', 'publish')}
"""Files that are a checkpoint for some of the tools."""

BACKBONE = (
    'model.backbone.type=resnest_mm.ResNeSt',
    'model.backbone.depth=14',
    'model.backbone.stem_channels=4',
    'model.backbone.base_channels=4',
    'model.backbone.init_cfg.type=resnest_mm.Pretrained',
)
DOORS: dict[str, Callable[[str, str], list[str]]] = {
    # the arguments of each tool that takes a checkpoint, from a config and a file
    'inspect': lambda config, file: ['inspect_checkpoint', file],
    'convert': lambda config, file: ['convert_checkpoint', file, 'out.pth'],
    'publish': lambda config, file: ['publish_checkpoint', file, 'out'],
    'test': lambda config, file: ['test', config, file, '--work-dir', 'new'],
    'load_from': lambda config, file: ['train', config, '--work-dir', 'new', '--cfg-options', f'load_from={file}'],
    'resume': lambda config, file: ['train', config, '--work-dir', 'new', '--resume', file],
    'report': lambda config, file: ['report', config, 'run', '--checkpoint', file],
    'pretrained': lambda config, file: [
        *('train', config, '--work-dir', 'new', '--cfg-options', *BACKBONE),
        f'model.backbone.init_cfg.checkpoint={file}',
    ],
}


@pytest.fixture
def trained(project: Project, tool: Tool) -> Project:
    """Return a project with a finished training in the folder `run`."""
    assert tool('train', [str(project.config()), '--work-dir', 'run']) == 0
    return project


def refuse_at_each_door(
    file: str, doors: Sequence[str], project: Project, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(project.config())
    for door in doors:
        name, *argv = DOORS[door](config, file)
        message = expect_refusal(tool, name, argv, project.cwd, capsys)
        assert message[:-1].isprintable(), door


@pytest.mark.parametrize('part', range(4))
def test_every_tool_refuses_every_odd_file(
    part: int, trained: Project, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A half of them ended in a traceback, some after a work directory had been made."""
    for kind in [*ODD][part::4]:
        # in a folder that `expect_refusal` does not read, because a FIFO never ends
        file = trained.root / f'{kind}.pth'
        ODD[kind](file)
        doors = [door for door in DOORS if door not in READ_BY_SOME.get(kind, ())]
        refuse_at_each_door(str(file), doors, trained, tool, capsys)


def test_every_tool_refuses_names_that_no_file_has(
    trained: Project, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES:
        # A command line takes a dash for an option; mmengine's options take a bracket for a list.
        doors = [door for door in DOORS if '[' not in name or door not in ('load_from', 'pretrained')]
        refuse_at_each_door(f'./{name}', doors, trained, tool, capsys)


def test_names_in_a_file_and_of_a_file_are_printed_without_control_characters(
    tool: Tool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal would follow them, and a name that is not UTF-8 ended in a traceback after the work."""
    path = tmp_path / 'a\x1b[31m\nb\udcff.pth'
    torch.save({'state_dict': {'a\x1b[2J.bias\n': torch.ones(1)}, 'no\ntensor': 3}, path)
    for name, *argv in (('inspect_checkpoint',), ('publish_checkpoint', str(tmp_path / 'out'))):
        assert tool(name, [str(path), *argv]) == 0
        out = capsys.readouterr().out
        assert all(line.isprintable() for line in out.split('\n'))
        assert r'\x1b[31m\nb\udcff' in out
