"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a CUDA device where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if 'gpu' in item.keywords:
                item.add_marker(pytest.mark.skip(reason='needs a CUDA device'))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how many shipped configs were trained and tested, which one dot each does not tell."""
    from tool_runs import CONFIG_RUNS

    names = config.stash.get(CONFIG_RUNS, [])
    if names:
        terminalreporter.write_line(f'{len(names)} configs trained and tested')


@pytest.fixture(scope='session')
def repository() -> Path:
    """Return the checkout's top folder."""
    return REPOSITORY


@pytest.fixture(scope='session')
def fresh_python(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs code in a new interpreter, away from the checkout, and expects it to end well.

    The function takes the code, interpreter `flags` and the `path` entry the package is found under.
    """
    elsewhere = tmp_path_factory.mktemp('elsewhere')

    def run(code: str, *, flags: tuple[str, ...] = (), path: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, 'PYTHONPATH': str(path)}
        command = [sys.executable, *flags, '-c', code]
        done = subprocess.run(command, env=env, cwd=elsewhere, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done

    return run
