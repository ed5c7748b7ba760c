"""The command that writes the demo data set."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from resnest_mm.demo_data import DemoSettings, holds_demo_data

Main = Callable[[Sequence[str]], int]


@pytest.fixture(scope='module')
def main() -> Main:
    path = Path(__file__).parents[2] / 'tools' / 'make_demo_data.py'
    spec = importlib.util.spec_from_file_location('make_demo_data', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_arguments_reach_the_settings(main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Written once, and the second call says that there is nothing to do."""
    command = [str(tmp_path / 'demo'), '--images', '2', '--size', '64', '--seed', '7']
    assert main(command) == 0
    assert '2 train and 8 val images of 64x64 pixels, seed 7' in capsys.readouterr().out
    assert holds_demo_data(tmp_path / 'demo', settings=DemoSettings(images=2, size=64, seed=7))
    assert main(command) == 0
    assert 'nothing to do' in capsys.readouterr().out


def test_force_replaces_another_set(main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [str(tmp_path / 'demo'), '--images', '1', '--size', '64', '--seed']
    assert main([*command, '1']) == 0
    assert main([*command, '2']) == 2
    assert '--force' in capsys.readouterr().err
    assert main([*command, '2', '--force']) == 0
    assert holds_demo_data(tmp_path / 'demo', settings=DemoSettings(images=1, size=64, seed=2))


@pytest.mark.parametrize('option', ['images', 'size', 'seed'])
def test_bad_number_is_one_line_and_exit_code_2(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert main([str(tmp_path / 'demo'), f'--{option}', '-5']) == 2
    error = capsys.readouterr().err
    assert f'{option}=-5' in error and error.count('\n') == 1
    assert not list(tmp_path.iterdir())


def test_unwritable_folder_is_one_line_and_exit_code_2(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'file').write_text('')
    assert main([str(tmp_path / 'file' / 'demo'), '--images', '1']) == 2
    assert capsys.readouterr().err.count('\n') == 1
