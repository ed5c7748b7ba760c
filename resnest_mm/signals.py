"""Ending a tool by Ctrl-C (SIGINT) or SIGTERM, which Slurm and Kubernetes send: one line and the usual exit code."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_PASSED_ON: Final = 1.0
"""Seconds within which a launcher passes on a signal."""


class Stopped(KeyboardInterrupt):
    """A signal ends the work of a tool; what cleans up after Ctrl-C cleans up after this.

    Args:
        number: The signal.
        message: What was saved and how to continue; empty where there is nothing to say.
    """

    def __init__(self, number: int, message: str = '') -> None:
        name = signal.Signals(number).name
        super().__init__(f'stopped by {name}: {message}' if message else f'stopped by {name}')
        self.number = number
        self.message = message

    @property
    def exit_code(self) -> int:
        """The exit code that a shell gives to a process that the signal ended: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.number


@dataclass
class StopRequest:
    """Whether a signal has asked for an end, which the work itself brings about where it loses nothing.

    Args:
        waiting: Whether the first signal waits for that. It is noted in `number` then; a second one raises `Stopped`.
        number: The first signal since `waiting` was set; None before.
        launched: Whether a launcher started the process. Launchers pass signals on which the process gets from its
            terminal or batch system as well; a second signal within a second counts as the same one then.
        since: Time of the first signal, in seconds of the monotonic clock.
    """

    waiting: bool = False
    number: int | None = None
    launched: bool = False
    since: float = 0.0

    def note(self, number: int) -> bool:
        """Note a signal, and return whether it may wait."""
        if not self.waiting:
            return False
        if self.number is None:
            self.number, self.since = number, time.monotonic()
            return True
        return self.launched and time.monotonic() - self.since < _PASSED_ON


@contextmanager
def signals_handled(request: StopRequest | None = None) -> Iterator[None]:
    """Raise `Stopped` for SIGINT and SIGTERM in a block, or note the first one in a request that waits for it.

    Handlers that the program has set for itself are left alone, as are signals that it ignores, such as SIGINT of
    commands in the background of a script. Only the main thread can set handlers; in another one nothing changes.

    A process that is forked inside the block ignores SIGINT: a terminal sends it to all processes, and the first one
    decides. SIGTERM ends such a process as usual; in the workers of its dataloaders torch handles SIGTERM itself.

    Args:
        request: The request; None raises for each signal.
    """
    owner = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            _handle_in_fork(number)
        elif request is None:
            raise Stopped(number)
        else:
            first = request.number is None
            if not request.note(number):
                raise Stopped(number)
            if first:
                name = signal.Signals(number).name
                # Not print: its buffer may be in use where the signal interrupts.
                os.write(2, f'{name}: stopping after this iteration; a second signal stops at once\n'.encode())

    before = {}
    try:
        for number in _SIGNALS:
            if getattr(signal.getsignal(number), '__module__', '') == __name__ or _is_default(number):
                before[number] = signal.signal(number, handle)
    except ValueError:
        pass  # not the main thread
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_default(number: int) -> bool:
    return signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)


def _handle_in_fork(number: int) -> None:
    if number == signal.SIGINT:
        return
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
