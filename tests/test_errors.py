"""Exit codes of the tools: one line for the user's mistakes, a traceback for everything else."""

from __future__ import annotations

import pickle
from collections.abc import Iterable

import pytest

from resnest_mm.command_line import run_tool
from resnest_mm.errors import CheckpointError, RunError, UserError, first_names, one_line


def fail(error: Exception) -> None:
    raise error


def test_success_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tool(lambda: None) == 0
    assert capsys.readouterr() == ('', '')


@pytest.mark.parametrize(
    ('error', 'line'),
    [
        (UserError('a\n  b'), 'error: a b\n'),
        (pickle.UnpicklingError('advice\nWeightsUnpickler error: GLOBAL x'), 'error: GLOBAL x\n'),
    ],
)
def test_a_mistake_of_the_user_is_one_line(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tool(lambda: fail(error)) == 2
    assert capsys.readouterr() == ('', line)


def test_a_checkpoint_that_does_not_fit_is_a_mistake_of_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tool(lambda: fail(CheckpointError('does not fit'))) == 2
    assert capsys.readouterr().err == 'error: does not fit\n'


def test_a_run_that_stopped_itself_has_an_exit_code_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """A script that starts trainings can tell a loss that is not finite from a config that is wrong."""
    assert run_tool(lambda: fail(RunError('the loss is nan'))) == 3
    assert capsys.readouterr().err == 'error: the loss is nan\n'


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(ValueError, match='a bug'):
        run_tool(lambda: fail(ValueError('a bug')))


def test_one_line_shows_a_key_error_without_quotes() -> None:
    assert one_line(KeyError("X is 'not'\nthere")) == "X is 'not' there"


@pytest.mark.parametrize(
    ('names', 'text'),
    [([], 'nothing'), (['a'], 'a'), (['a', 1], 'a, 1'), (iter('abc'), 'a, b and 1 more')],
)
def test_only_the_first_names_are_shown(names: Iterable[object], text: str) -> None:
    """A message about a checkpoint with hundreds of tensors stays one readable line."""
    assert first_names(names, most=2) == text
