"""Errors and signals of the command lines: one line on stderr and an exit code."""

from __future__ import annotations

import argparse
import pickle
import signal
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

from resnest_mm.errors import ResNeStError, RunError, UserError, one_line, printable
from resnest_mm.signals import Stopped, signals_handled


class ToolParser(argparse.ArgumentParser):
    """An argument parser that raises a `UserError` for a wrong command line."""

    def error(self, message: str) -> NoReturn:
        """Raise an error; argparse would print the usage and end the process.

        Args:
            message: Message of argparse.

        Raises:
            UserError: Always.
        """
        raise UserError(f'{message} (see --help)')


def run_tool(action: Callable[[], None]) -> int:
    """Run a tool and return its exit code. A wrong argument, config or file becomes one line on stderr.

    SIGINT and SIGTERM end the tool in order, so that it removes its temporary files, and become one line, too.

    Args:
        action: The work of the tool.

    Returns:
        0 on success, 2 for an error of the user, 3 for a run that stopped itself, 130 after SIGINT and 143 after
        SIGTERM. Any other exception is raised.
    """
    try:
        with warnings.catch_warnings(), signals_handled():
            # mmengine imports it once for each `mmdet::` base, which users cannot change.
            warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
            action()
    except (ResNeStError, pickle.UnpicklingError) as error:
        print(f'error: {_reason(error)}', file=sys.stderr)
        return 3 if isinstance(error, RunError) else 2
    except KeyboardInterrupt as error:
        stopped = error if isinstance(error, Stopped) else Stopped(signal.SIGINT)
        print(printable(str(stopped)), file=sys.stderr)
        return stopped.exit_code
    return 0


def _reason(error: Exception) -> str:
    """Return an error's message in one line of printable characters.

    torch raises an UnpicklingError for objects that `weights_only` refuses, and puts the reason at the end of a page of
    advice. If torch changes the words before the reason, the whole page is returned.
    """
    return printable(one_line(error).rpartition('WeightsUnpickler error: ')[2])
