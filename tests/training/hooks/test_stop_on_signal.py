"""Distributed processes stop after the same iteration, whichever of them gets the signal."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from resnest_mm.signals import Stopped, StopRequest
from resnest_mm.training.hooks.stop_on_signal import StopOnSignalHook
from tests.support.processes import needs_processes, run_in_two_processes


def stop(rank: int) -> list[Any]:
    """Get the signal in process 1 before its third iteration, and return where and how this process stopped."""
    request = StopRequest()
    hook = StopOnSignalHook(request)
    for iteration in range(5):
        runner = SimpleNamespace(rank=rank, iter=iteration, hooks=[])
        hook.before_train_iter(runner, iteration)
        if (rank, iteration) == (1, 2):
            request.number = signal.SIGTERM
        try:
            hook.after_train_iter(runner, iteration)
        except Stopped as stopped:
            return [iteration, stopped.exit_code, stopped.message]
    return []


@needs_processes
def test_all_processes_stop_after_the_same_iteration(tmp_path: Path) -> None:
    """One that stopped earlier would leave the others waiting for its gradients; only the first one speaks."""
    message = 'iteration 3 is not saved, because the config has no CheckpointHook'
    assert run_in_two_processes(stop, tmp_path) == [[2, 143, message], [2, 143, '']]
