"""Running a tool's `main` within the test's own process, again and again."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

CONFIG_RUN = 'config trained and tested'
"""The property of a test's report that names the config it trained."""

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


def forget_runs() -> None:
    """Drop what mmengine keeps of earlier runs in this process.

    A logger holds the stdout that it was made with, which pytest closes at the end of a test, and two runs within the
    same second would share a name and with it their files.
    """
    managers = [MMLogger, MessageHub, DefaultScope, Visualizer]
    while managers:
        manager = managers.pop()
        manager._instance_dict.clear()
        # A host's visualizer keeps instances of its own, which know the folder of the run before.
        managers += manager.__subclasses__()


def run_tool(name: str, argv: Sequence[str]) -> int:
    """Run a tool, named without `.py`, and return its exit code."""
    forget_runs()
    return _main(name)(argv)


@functools.cache
def _main(name: str) -> Callable[[Sequence[str]], int]:
    spec = importlib.util.spec_from_file_location(f'resnest_tool_{name}', TOOLS / f'{name}.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    main: Callable[[Sequence[str]], int] = module.main
    return main
