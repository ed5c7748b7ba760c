"""A training in a process of its own to which a signal is sent at a chosen point."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.runner import Runner

from tests.support.processes import PRELOADED
from tests.support.tool_runs import run_tool


@dataclass(frozen=True)
class Arrival:
    """When which signal arrives.

    Args:
        at: The hook point of mmengine before which it arrives, `saving` (a checkpoint is written but not renamed), or
            `second` (the iteration of the first signal and again while its checkpoint is written).
        number: The signal.
        skipped: How many times the point is passed before.
        group: Whether the dataloader workers get it, too, as from a terminal.
    """

    at: str
    number: int = signal.SIGTERM
    skipped: int = 0
    group: bool = False

    def set(self) -> None:
        """Change the functions of this process that reach the point."""
        left = [self.skipped]
        owner = os.getpid()

        def arrive() -> None:
            left[0] -= 1
            if left[0] == -1 or (self.at == 'second' and left[0] < 0):
                (os.killpg if self.group else os.kill)(owner, self.number)

        call_hook, replace = Runner.call_hook, os.replace
        point = 'before_train_iter' if self.at == 'second' else self.at

        def call(runner: Runner, name: str, **arguments: Any) -> None:
            call_hook(runner, name, **arguments)
            if name == point:
                arrive()

        def replace_after(source: Any, target: Any) -> None:
            if self.at in ('saving', 'second') and str(target).endswith('.pth'):
                arrive()
            replace(source, target)

        changes: list[tuple[Any, str, Any]] = [(Runner, 'call_hook', call), (os, 'replace', replace_after)]
        for owner_of, name, function in changes:
            setattr(owner_of, name, function)


def train_until(argv: Sequence[str], arrival: Arrival | None, errors: Path) -> int:
    """Run `tools/train.py` in a process group of its own from the current folder and return its exit code.

    Args:
        argv: Arguments of the tool.
        arrival: The signal; None for none.
        errors: File that gets what the process and its workers write to stderr.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=_train, args=(list(argv), arrival, errors))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _train(argv: list[str], arrival: Arrival | None, errors: Path) -> None:
    os.setsid()
    os.environ['LOCAL_RANK'] = '0'
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    # The process that forks this one ignores Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if arrival is not None:
        arrival.set()
    raise SystemExit(run_tool('train', argv))
