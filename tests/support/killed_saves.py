"""A training in a process of its own that kills itself, or finds the disk full, at a chosen moment."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmengine.fileio
import torch

from tests.support.processes import PRELOADED
from tests.support.tool_runs import run_tool

STEPS = ('before writing', 'amid writing', 'before flushing', 'before renaming', 'before noting', 'before deleting')
"""Where a training can be killed while it saves, in the order of the steps."""


@dataclass(frozen=True)
class Trap:
    """What goes wrong, and when.

    Args:
        step: One of `STEPS`, or `full disk`.
        name: Beginning of the name of the file at which it happens.
        skipped: How many times that step goes well before.
    """

    step: str
    name: str
    skipped: int = 0

    def set(self) -> None:
        """Change the functions of this process that save."""
        left = [self.skipped]

        def here(path: Any) -> bool:
            if Path(path).name.lstrip('.').startswith(self.name):
                left[0] -= 1
            return left[0] < 0

        local = mmengine.fileio.LocalBackend
        put, fsync, replace, remove = local.put, os.fsync, os.replace, local.remove

        def put_or_die(backend: Any, content: bytes, path: Any) -> None:
            if self.step in ('before writing', 'amid writing', 'full disk') and here(path):
                if self.step != 'before writing':
                    Path(path).write_bytes(content[: len(content) // 2])
                if self.step == 'full disk':
                    raise OSError(28, 'No space left on device')
                _die()
            put(backend, content, path)

        def fsync_or_die(descriptor: int) -> None:
            if self.step == 'before flushing' and here(os.readlink(f'/proc/self/fd/{descriptor}')):
                _die()
            fsync(descriptor)

        def replace_or_die(source: Any, target: Any) -> None:
            if self.step == 'before renaming' and here(target):
                _die()
            if self.step == 'before noting' and Path(target).name == 'last_checkpoint' and here(self.name):
                _die()
            replace(source, target)

        def remove_or_die(backend: Any, path: Any) -> None:
            if self.step == 'before deleting' and here(path):
                _die()
            remove(backend, path)

        changes: list[tuple[Any, str, Callable[..., Any]]] = [
            (local, 'put', put_or_die),
            (local, 'remove', remove_or_die),
            (os, 'fsync', fsync_or_die),
            (os, 'replace', replace_or_die),
        ]
        for owner, attribute, function in changes:
            setattr(owner, attribute, function)


@dataclass(frozen=True)
class Moment:
    """The end of a training in the middle of its work: in an iteration, a validation, or precise batch norm.

    Args:
        record: File for the number of forward passes of modules so far; None writes none.
        last: Number of the forward pass in which the process kills itself; None for never.
    """

    record: Path | None = None
    last: int | None = None

    def set(self) -> None:
        """Count the forward passes of this process."""
        done = [0]

        def count(*_: object) -> None:
            done[0] += 1
            if self.record is not None:
                self.record.write_text(str(done[0]))
            if done[0] == self.last:
                _die()

        torch.nn.modules.module.register_module_forward_hook(count)


def train_in_a_process(argv: Sequence[str], *, trap: Trap | Moment | None = None) -> int:
    """Run `tools/train.py` from the current folder and return its exit code; that of a killed process is negative.

    Args:
        argv: Arguments of the tool.
        trap: What goes wrong in the process.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=_train, args=(list(argv), trap))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _train(argv: list[str], trap: Trap | Moment | None) -> None:
    os.environ['LOCAL_RANK'] = '0'
    if trap is not None:
        trap.set()
    raise SystemExit(run_tool('train', argv))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
