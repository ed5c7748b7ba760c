"""Mistakes of the user: one line on stderr and exit code 2, instead of a traceback."""

from __future__ import annotations

import contextlib
import importlib
import pickle
import sys
import warnings
from collections.abc import Callable


class UserError(ValueError):
    """Something the user handed over is wrong; the message says what, where and what to do next."""


def one_line(message: object) -> str:
    """Return a message without line breaks or runs of blanks.

    Args:
        message: Text, or an exception. A KeyError gives its key's text without the quotes `str` would put around it.
    """
    if isinstance(message, KeyError) and len(message.args) == 1:
        message = message.args[0]
    return ' '.join(str(message).split())


def user_errors() -> tuple[type[Exception], ...]:
    """Return the exception classes that mean a mistake of the user and not one of the program.

    Besides `UserError` these are refused checkpoints: `resnest_mm.weights.loading.CheckpointError`, and the
    `UnpicklingError` by which torch refuses objects that `weights_only=True` does not allow.
    """
    classes: list[type[Exception]] = [UserError, pickle.UnpicklingError]
    with contextlib.suppress(ImportError, AttributeError):
        classes.append(importlib.import_module('resnest_mm.weights.loading').CheckpointError)
    return tuple(classes)


def run_tool(action: Callable[[], None]) -> int:
    """Run a tool's work and translate the user's mistakes into its exit code.

    Args:
        action: The work, without arguments.

    Returns:
        0 on success, 2 after a mistake of the user, which is then one line on stderr. Any other exception passes.
    """
    try:
        with warnings.catch_warnings():
            # mmengine imports it, once for each `mmdet::` base; the user can do nothing about it.
            warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
            action()
    except Exception as error:
        if not isinstance(error, user_errors()):
            raise
        # torch wraps the reason of a refused checkpoint in a page of advice.
        print(f'error: {one_line(error).rpartition("WeightsUnpickler error: ")[2]}', file=sys.stderr)
        return 2
    return 0
