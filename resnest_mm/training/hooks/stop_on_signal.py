"""Ending a training after a signal: at the end of an iteration, with a checkpoint of it."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, get_world_size
from mmengine.hooks import CheckpointHook, Hook

from resnest_mm.signals import Stopped, StopRequest
from resnest_mm.training.hooks.safe_checkpoint import SafeCheckpointHook


class StopOnSignalHook(Hook):
    """Save a checkpoint and stop after the iteration in which a signal came.

    `resnest_mm.training.run.run_training` adds it to the Runner as its last hook. Before the first iteration a signal
    stops the training at once. During a validation, the training stops after the present image if a checkpoint of the
    last iteration has been saved, and else after the first iteration that follows. In distributed training all
    processes stop after the same iteration, also where only one of them gets the signal.

    Args:
        request: The request that the handler of the signals notes.
    """

    priority = 'LOWEST'

    def __init__(self, request: StopRequest) -> None:
        self._request = request
        self._saved = (0, '')  # iteration and path of the last checkpoint that can be resumed

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """From now on a signal waits for the end of the iteration."""
        self._request.waiting = True

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Note which iteration is saved."""
        if 'optimizer' in checkpoint:
            self._saved = (checkpoint['meta']['iter'], runner.message_hub.runtime_info.get('last_ckpt', ''))

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Save and stop if a signal has come.

        Raises:
            Stopped: After the checkpoint has been saved.
        """
        number = self._agreed()
        if number:
            self._stop(runner, number, runner.iter + 1)

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Stop if a signal has come and the iteration before this validation is saved.

        Raises:
            Stopped: Then.
        """
        # The processes of a distributed validation cannot agree here: they may have different numbers of images.
        number = self._request.number
        if number and get_world_size() == 1 and self._saved[0] == runner.iter:
            self._stop(runner, number, runner.iter)

    def _agreed(self) -> int:
        number = self._request.number or 0
        if get_world_size() == 1:
            return number
        highest = torch.tensor(number)
        all_reduce(highest, op='max')
        return int(highest)

    def _stop(self, runner: Any, number: int, iteration: int) -> None:
        path = self._saved[1] if self._saved[0] == iteration else _save(runner)
        barrier()  # a launcher ends all processes as soon as one has ended
        if runner.rank > 0:
            raise Stopped(number)
        if path:
            raise Stopped(
                number, f'iteration {iteration} is saved in {path}; continue with the same command and --resume'
            )
        raise Stopped(number, f'iteration {iteration} is not saved, because the config has no CheckpointHook')


def _save(runner: Any) -> str:
    """Save a checkpoint with the hook of the training, and return its path; an empty text if nothing is to be saved."""
    hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    hook = next((hook for hook in hooks if isinstance(hook, SafeCheckpointHook)), None)
    if hook is None and hooks:
        hook = SafeCheckpointHook()
        hook.before_train(runner)
    return '' if hook is None else hook.save_interrupted(runner)
