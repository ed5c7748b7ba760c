"""Fixtures that several test modules share, and what pytest does around the tests.

`make test` spreads the tests over the worker processes of pytest-xdist; plain `pytest` runs them one after the other.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import mmengine.config.utils
import numpy as np
import pytest
import torch
from hypothesis import settings

from tests.support.amounts import COUNTS
from tests.support.projects import Project
from tests.support.run_folders import WriteRun
from tests.support.tool_runs import CONFIG_RUN, forget_runs, run_tool

REPOSITORY = Path(__file__).resolve().parent.parent

# The same examples in every run, unless more are asked for; where processes share cores, their time says nothing.
settings.register_profile(
    'repeatable', deadline=None, database=None, derandomize='HYPOTHESIS_EXAMPLES' not in os.environ
)
settings.load_profile('repeatable')

# Each config that inherits from a host's is looked up by mmengine in all metafiles of the host, about a hundred.
mmengine.config.utils.load = functools.cache(mmengine.config.utils.load)

if 'PYTEST_XDIST_WORKER' in os.environ:
    # Each worker has one core, where more threads would only wait. Subprocesses inherit the variables.
    os.environ.update(OMP_NUM_THREADS='1', OPENCV_FOR_THREADS_NUM='1')
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a CUDA device where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if 'gpu' in item.keywords:
                item.add_marker(pytest.mark.skip(reason='needs a CUDA device'))


def pytest_collection_finish() -> None:
    """Take what the imports made out of garbage collection.

    mmengine collects whenever it builds a data set, which takes most of a second with both hosts imported.
    """
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many shipped configs were trained and tested, and how attacks ended, which one dot each does not tell.

    The names come with the reports, because the tests may have run in other processes.
    """
    passed = terminalreporter.stats.get('passed', [])
    names = [value for report in passed for key, value in report.user_properties if key == CONFIG_RUN]
    if names:
        terminalreporter.write_line(f'{len(names)} configs trained and tested')
    for report in passed:
        for key, value in report.user_properties:
            if key == COUNTS:
                terminalreporter.write_line(value)


@pytest.fixture(scope='session', autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the results of data checks away from the user's own cache, also those of subprocesses."""
    os.environ['RESNEST_MM_CACHE'] = str(tmp_path_factory.mktemp('cache'))


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


@pytest.fixture
def clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put back what a training, or a test of a model, changes in this process."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    # mmengine prints its config five times in a run, and laying it out takes a second each time.
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True))
    allowed = torch.serialization.get_safe_globals()
    forget_runs()
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(allowed)
    forget_runs()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_process: None) -> Project:
    """Return a project with four images, from whose `cwd` the test runs."""
    made = Project(root=tmp_path / 'project', cwd=tmp_path / 'cwd')
    made.cwd.mkdir()
    images = made.root / 'data' / 'images'
    images.mkdir(parents=True)
    for index in range(4):
        np.save(images / f'{index}.npy', np.full((1, 4, 4), index, dtype=np.float32))
    records = [{'img_path': f'{index}.npy', 'label': float(index)} for index in range(4)]
    content = {'metainfo': {'classes': ['a']}, 'data_list': records}
    (made.root / 'data' / 'ann.json').write_text(json.dumps(content), encoding='utf-8')
    monkeypatch.chdir(made.cwd)
    monkeypatch.syspath_prepend(str(REPOSITORY / 'tests' / 'support'))
    return made


@pytest.fixture(scope='session')
def tool() -> Callable[[str, Sequence[str]], int]:
    """Return a function that runs the `main` of a tool, named without `.py`, in this process."""
    return run_tool


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Return what writes one run as mmengine lays it out: `<stamp>/vis_data/scalars.json` and `<stamp>/<stamp>.log`."""

    def write(stamp: str, lines: Sequence[dict[str, Any]], *, log: Sequence[str] | None = None) -> Path:
        folder = tmp_path / stamp / 'vis_data'
        folder.mkdir(parents=True)
        (folder / 'scalars.json').write_text(''.join(json.dumps(line) + '\n' for line in lines))
        if log is not None:
            (tmp_path / stamp / f'{stamp}.log').write_text('\n'.join(log) + '\n')
        return tmp_path

    return write
