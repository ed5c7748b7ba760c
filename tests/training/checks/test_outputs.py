"""A place that cannot be written to is refused before a run computes what would be lost there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from resnest_mm.errors import UserError
from resnest_mm.training.checks.outputs import check_output_file, check_output_folder
from tests.support.projects import Project

Tool = Callable[[str, Sequence[str]], int]

needs_proc = pytest.mark.skipif(not Path('/proc/self').exists(), reason='nothing else is read-only to every user')


@needs_proc
@pytest.mark.parametrize(
    ('name', 'argv', 'message'),
    [
        ('train', ['--work-dir', '/proc/run'], 'error: --work-dir /proc/run: /proc is not writable ('),
        ('test', ['a.pth', '--work-dir', '/proc/run'], 'error: --work-dir /proc/run: /proc is not writable ('),
        ('test', ['a.pth', '--out', '/proc/sub/out.pkl'], 'error: --out /proc/sub: /proc is not writable ('),
        ('test', ['a.pth', '--show-dir', '/proc/drawn'], 'error: --show-dir /proc/drawn: /proc is not writable ('),
        ('browse_dataset', ['/proc/look'], 'error: OUT /proc: /proc is not writable ('),
    ],
)
def test_the_tools_look_before_they_run(
    name: str, argv: list[str], message: str, project: Project, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and nothing is written anywhere."""
    config = project.config("default_hooks = dict(visualization=dict(type='SegVisualizationHook'))\n")
    assert tool('train', [str(project.config()), '--work-dir', 'run']) == 0
    Path('run/epoch_1.pth').rename('a.pth')
    before = project.files()
    capsys.readouterr()
    config = project.config("default_hooks = dict(visualization=dict(type='SegVisualizationHook'))\n")
    assert tool(name, [str(config), *argv]) == 2
    err = capsys.readouterr().err
    assert (err.startswith(message), err.count('\n')) == (True, 1), err
    assert set(project.files()) == set(before)


def test_a_writable_place_is_left_as_it_was(tmp_path: Path) -> None:
    """The check needs a file for a moment."""
    (tmp_path / 'there').mkdir()
    for folder in ('there', 'new', 'new/below'):
        check_output_folder(tmp_path / folder, source='--show-dir')
        check_output_file(tmp_path / folder / 'out.pkl', source='--out')
    assert [path.name for path in tmp_path.rglob('*')] == ['there']


def test_files_in_the_way_are_named(tmp_path: Path) -> None:
    """A folder cannot be made in a file, nor a file be where a folder is."""
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match=r'^--show-dir .*file/a/b: .*/file is a file; choose another --show-dir$'):
        check_output_folder(tmp_path / 'file' / 'a' / 'b', source='--show-dir')
    with pytest.raises(UserError, match=r'^--out .* is a folder; name a file in it$'):
        check_output_file(tmp_path, source='--out')


def test_a_full_disk_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also quotas, and permissions that only another computer knows: a file is made to find out."""

    def full(**settings: Any) -> NoReturn:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(tempfile, 'TemporaryFile', full)
    with pytest.raises(UserError, match=r'is not writable \(No space left on device\); choose another --out'):
        check_output_file(tmp_path / 'out.pkl', source='--out')
