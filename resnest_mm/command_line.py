"""What the command lines of all tools share: one-line errors and exit codes."""

from __future__ import annotations

import argparse
import pickle
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

from resnest_mm.errors import ResNeStError, UserError, one_line


class ToolParser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, like every other mistake of the user."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving the process.

        Raises:
            UserError: Always.
        """
        raise UserError(f'{message} (see --help)')


def run_tool(action: Callable[[], None]) -> int:
    """Run a tool and turn a mistake of the user into its exit code.

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
    except (ResNeStError, pickle.UnpicklingError) as error:
        # torch raises UnpicklingError for objects that weights_only refuses, and wraps the reason in a page of advice.
        print(f'error: {one_line(error).rpartition("WeightsUnpickler error: ")[2]}', file=sys.stderr)
        return 2
    return 0
