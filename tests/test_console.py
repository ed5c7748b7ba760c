"""The command `resnest-mm`: it lists the tools and runs them under their names."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from resnest_mm.console import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def kept_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back `sys.argv`, which the command sets for the usage line of a tool."""
    monkeypatch.setattr('sys.argv', ['pytest'])


def test_it_lists_every_tool_with_its_first_line(repository: Path, capsys: Capture) -> None:
    """A user of the wheel sees no folder tools/; the list is where the names are found."""
    assert main([]) == 0
    listed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line.startswith('  '))
    assert set(listed) == {path.stem for path in (repository / 'tools').glob('*.py')}
    assert listed['train'] == 'Train a detector or a segmentor from its config.'
    assert all(text.endswith('.') for text in listed.values())


def test_the_list_loads_no_library(fresh_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """It appears at once, and also where torch is not installed yet."""
    code = 'import sys; from resnest_mm.console import main; main([]); print({"torch", "mmengine"} & set(sys.modules))'
    assert fresh_python(code).stdout.splitlines()[-1] == 'set()'


def test_a_tool_gets_its_arguments_and_gives_its_exit_code(tmp_path: Path, capsys: Capture) -> None:
    """The command adds nothing: the tool's own message and its own exit code come back."""
    assert main(['inspect_checkpoint', str(tmp_path / 'none.pth')]) == 2
    assert 'none.pth' in capsys.readouterr().err
    out = tmp_path / 'demo'
    assert main(['make_demo_data', str(out), '--images', '6', '--size', '64']) == 0
    assert capsys.readouterr().out == f'{out}: 6 train and 8 val images of 64x64 pixels, seed 0\n'
    assert out.is_dir()


def test_the_usage_line_names_the_command(capsys: Capture) -> None:
    """A user copies the usage line, so it must be what was typed."""
    with pytest.raises(SystemExit) as done:
        main(['inspect_checkpoint', '--help'])
    assert done.value.code == 0
    assert capsys.readouterr().out.startswith('usage: resnest-mm inspect_checkpoint ')


@pytest.mark.parametrize(
    ('name', 'hint'),
    [('trian', "did you mean 'train'? "), ('convert-checkpoint', "did you mean 'convert_checkpoint'? ")],
)
def test_an_unknown_tool_is_refused_with_the_nearest(name: str, hint: str, capsys: Capture) -> None:
    assert main([name, '--help']) == 2
    assert capsys.readouterr().err == f'error: tool {name!r} is unknown; {hint}resnest-mm lists all 14\n'
