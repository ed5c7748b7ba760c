"""Running a training that passed every check: alone in its work_dir, with one line for a full disk and for signals."""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from mmengine.dist import is_main_process
from mmengine.logging import MMLogger

from resnest_mm.errors import ResNeStError, RunError, one_line
from resnest_mm.signals import Stopped, StopRequest, signals_handled
from resnest_mm.training.hooks.stop_on_signal import StopOnSignalHook
from resnest_mm.training.launcher import is_first_process
from resnest_mm.training.plan import RunPlan
from resnest_mm.training.safety.lock import locked
from resnest_mm.training.safety.resume import set_aside
from resnest_mm.training.work_dir import last_checkpoint

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def run_training(plan: RunPlan) -> Any:
    """Train, and return the Runner.

    In a distributed training only the first process holds the lock of the work_dir and renames damaged checkpoints.

    Args:
        plan: Plan of the training.

    Raises:
        UserError: Another training runs in the work_dir.
        RunError: The disk is full.
        Stopped: After SIGINT or SIGTERM.
    """
    work_dir = plan.cfg.work_dir
    request = StopRequest(launched=plan.cfg.get('launcher', 'none') != 'none')
    with ExitStack() as stack:
        if is_first_process(plan.cfg.get('launcher', 'none')):
            warning = stack.enter_context(locked(work_dir))
            for note in filter(None, (*plan.data_notes, *plan.notes, warning)):
                print(note, flush=True)
            set_aside(plan.damaged)
        stack.enter_context(_disk_errors(work_dir))
        stack.enter_context(_stops(work_dir, request))
        runner = plan.build_runner()
        runner.register_hook(StopOnSignalHook(request))
        for logger in MMLogger._instance_dict.values():
            _say_log_errors_once(logger)
        runner.train()
    return runner


@contextmanager
def _disk_errors(work_dir: str) -> Iterator[None]:
    """Turn the error of a full disk into a RunError; SafeCheckpointHook has a message of its own for checkpoints."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise RunError(
            f'{error.filename or work_dir} cannot be written: {error.strerror}; make room, then go on: '
            f'{_rest(work_dir)}'
        ) from error


@contextmanager
def _stops(work_dir: str, request: StopRequest) -> Iterator[None]:
    """Say what is left where a signal stopped the training at once, or where it hindered the end of the iteration."""
    with signals_handled(request):
        try:
            yield
        except Stopped as error:
            if error.message or not is_main_process():
                raise
            raise Stopped(error.number, _rest(work_dir)) from None
        except ResNeStError:
            raise
        except Exception as error:
            if request.number is None:
                raise
            # For example, the same signal ended the workers of the dataloader.
            reason = f'the iteration could not be finished ({one_line(error):.200}); {_rest(work_dir)}'
            raise Stopped(request.number, reason) from error


def _rest(work_dir: str) -> str:
    last = last_checkpoint(work_dir)
    if last is None:
        return 'no checkpoint has been saved yet; start again'
    return f'the last checkpoint {last} is whole and --resume continues from it'


def _say_log_errors_once(logger: logging.Logger) -> None:
    """Let a log file that cannot be written cost one line; logging would print a traceback for each line of the log."""
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handleError = _LogErrors(handler.baseFilename)  # type: ignore[method-assign]


class _LogErrors:
    def __init__(self, path: str) -> None:
        self._path = path
        self._said = False

    def __call__(self, record: logging.LogRecord) -> None:
        if not self._said:
            self._said = True
            print(f'warning: {self._path} cannot be written: {sys.exc_info()[1]}', file=sys.stderr)
