"""A hook that sends signals to its own process at a chosen step of a training or a test."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from typing import Any

from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class SendSignals(Hook):
    """Send signals at a step.

    Args:
        step: Name of a method of hooks, such as `before_train_iter`.
        names: The signals, in their order.
        iteration: Number of completed training iterations at which to send them.
        group: Whether to send them to the dataloader's workers, too, as a terminal and batch systems do.
    """

    priority = 'VERY_HIGH'

    def __init__(self, step: str, names: Sequence[str] = ('SIGTERM',), iteration: int = 0, group: bool = False) -> None:
        self._group = group
        self._left = [signal.Signals[name] for name in names]
        self._iteration = iteration
        setattr(self, step, self._send)

    def _send(self, runner: Any, *args: Any, **settings: Any) -> None:
        while self._left and (runner._train_loop is None or runner.iter == self._iteration):
            number = self._left.pop(0)
            if self._group:
                for worker in multiprocessing.active_children():
                    assert worker.pid is not None
                    os.kill(worker.pid, number)
            os.kill(os.getpid(), number)


@HOOKS.register_module()
class OwnCheckpoints(CheckpointHook):
    """A user's own class."""
