"""One download of a file at a time, on this machine and on others with the same folder."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout
from mmengine.logging import print_log

from resnest_mm.errors import CheckpointError, one_line

PATIENCE: Final = 600.0
"""Seconds to wait for another process whose download does not grow."""

_STEP: Final = 5.0
_MARK: Final = 'pid '


@contextmanager
def only_here(
    final: Path, *, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic
) -> Iterator[None]:
    """Hold the lock of a file while it is searched and downloaded; wait as long as another process makes progress.

    The lock is on the file `<name>.lock`, which stays, and says in it who holds it. The system frees it when its
    process ends, however that happens.

    Args:
        final: The file that is downloaded.
        patience: Seconds to wait for another process whose download does not grow, above 0.
        clock: Returns the time in seconds.

    Raises:
        CheckpointError: If another process holds the lock and makes no progress, or if the folder cannot have locks.
    """
    file = final.with_name(f'{final.name}.lock')
    lock = FileLock(file)
    seen, since = _progress(final), clock()
    waited = False
    while True:
        try:
            lock.acquire(timeout=min(_STEP, patience))
            break
        except Timeout:
            if not waited:
                print_log(f'waiting for {final.name}, which {_holder(file)} downloads', logger='current')
                waited = True
            if (now := _progress(final)) != seen:
                seen, since = now, clock()
            elif clock() - since >= patience:
                raise CheckpointError(
                    f'{file} is locked by {_holder(file)}, whose download has not grown for {patience:g} s; end that '
                    'process, or delete the file if the process is gone, and start again'
                ) from None
        except OSError as error:
            raise CheckpointError(f'{file} cannot be locked: {one_line(error)}; make its folder writable') from error
    try:
        _write_holder(file)
        yield
    finally:
        lock.release()


def _progress(final: Path) -> tuple[int, ...]:
    """Return the sizes of the parts of a download."""
    sizes = []
    for name in (f'{final.name}.part', f'{final.name}.zip.part'):
        with contextlib.suppress(OSError):
            sizes.append(final.with_name(name).stat().st_size)
    return tuple(sizes)


def _holder(file: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = file.read_text(encoding='utf-8')
        if text.startswith(_MARK):
            return f'another process ({one_line(text)[:200]})'
    return 'another process'


def _write_holder(file: Path) -> None:
    """Write who holds the lock; where the file system has no locks, filelock has written a mark of its own."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = file.read_text(encoding='utf-8')
        if not text or text.startswith(_MARK):
            when = time.strftime('%Y-%m-%d %H:%M:%S %z')
            file.write_text(f'{_MARK}{os.getpid()} on {socket.gethostname()} since {when}\n', encoding='utf-8')
