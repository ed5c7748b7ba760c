"""The limits of a download, so that a server that sends a few bytes now and then cannot hold a run for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


class DownloadError(OSError):
    """A failed download.

    Args:
        reason: The reason, in few words.
        interrupted: Whether a part of the file has arrived, so that another attempt continues it.
    """

    def __init__(self, reason: str, *, interrupted: bool = False) -> None:
        super().__init__(reason)
        self.interrupted = interrupted


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When a download from one server fails.

    Args:
        slowest: Bytes a second, on average over each `window`; a server that sends fewer is given up.
        window: Seconds over which the rate is measured, above 0.
        overall: Seconds for the whole download, above 0. The next attempt continues it where the file has a checksum.
    """

    slowest: float = 1024.0
    window: float = 60.0
    overall: float = 6 * 3600.0


LIMITS: Final = Limits()


class Watch:
    """Counts the bytes of a download and ends it at its limits.

    Args:
        limits: The limits.
        clock: Returns the time in seconds.
    """

    def __init__(self, limits: Limits = LIMITS, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits, self._clock = limits, clock
        self._start = self._window_start = clock()
        self._in_window = 0

    def count(self, size: int) -> None:
        """Count bytes that have arrived.

        Args:
            size: Number of bytes.

        Raises:
            DownloadError: If the download is too slow or takes too long.
        """
        limits, now = self._limits, self._clock()
        if now - self._start > limits.overall:
            raise DownloadError(f'it took more than {limits.overall / 3600:g} h')
        self._in_window += size
        if now - self._window_start >= limits.window:
            if self._in_window < limits.slowest * (now - self._window_start):
                raise DownloadError(f'it sends fewer than {limits.slowest:g} bytes a second')
            self._window_start, self._in_window = now, 0
