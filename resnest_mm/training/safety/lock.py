"""One training at a time in a work_dir: the second one is told whose it is, before it writes anything.

The lock is one of the kernel (`fcntl.lockf`) on a small file in the work_dir, so it ends with its process, however that
ends. Such a lock belongs to one process: dataloader workers, which outlive a killed training for some seconds, do not
hold it, as they would that of `filelock`. It holds between hosts where the network file system passes locks on, as NFS
does by default; where it does not, two trainings of one host still exclude each other.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from resnest_mm.errors import UserError, one_line

try:
    import fcntl
except ImportError:  # Windows; see `locked`
    fcntl = None  # type: ignore[assignment]

NAME: Final = '.training.lock'
"""Name of the file in the work_dir. It stays there after the training, and is empty then."""

_held: set[Path] = set()
"""Lock files that this process holds; the kernel would give it a second lock on the same file."""


def check_unlocked(work_dir: str | Path) -> None:
    """Refuse a work_dir in which another training runs; write nothing.

    Args:
        work_dir: Folder of the training; it need not exist.

    Raises:
        UserError: Another training runs in it.
    """
    file = Path(work_dir).resolve() / NAME
    if file in _held:
        # The file is not opened again: closing it would give the lock back.
        raise _in_use(work_dir, _this_process())
    if fcntl is None or not os.access(file, os.R_OK | os.W_OK):
        return
    descriptor = os.open(file, os.O_RDWR)
    try:
        if not _take(descriptor):
            raise _in_use(work_dir, _owner(descriptor))
    except OSError:
        return  # `locked` says that this file system has no locks
    finally:
        os.close(descriptor)


@contextmanager
def locked(work_dir: str | Path) -> Iterator[str]:
    """Hold the lock of a work_dir, which is made if it does not exist; yield a warning for the user, or an empty text.

    Where there are no locks (on Windows and some network file systems), a warning says so, and the training runs.

    Args:
        work_dir: Folder of the training.

    Raises:
        UserError: Another training runs in it.
    """
    folder = Path(work_dir).resolve()
    file = folder / NAME
    if file in _held:
        # The file is not opened again: closing it would give the lock back.
        raise _in_use(work_dir, _this_process())
    if fcntl is None:
        yield f'warning: this system has no file locks; do not start a second training in {work_dir}'
        return
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            taken = _take(descriptor)
        except OSError as error:
            why = error.strerror or str(error)
            yield f'warning: {work_dir} cannot be locked ({why}); do not start a second training in it'
            return
        if not taken:
            raise _in_use(work_dir, _owner(descriptor))
        warning = _left_on_another_host(work_dir, _owner(descriptor))
        _held.add(file)
        _write(descriptor, json.dumps(_this_process()))
        try:
            yield warning
        finally:
            _held.discard(file)
            _write(descriptor, '')
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    """Take the lock without waiting; return whether that was possible."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _write(descriptor: int, text: str) -> None:
    """Replace the content of the lock file. The name of the owner is not worth failing for: the disk may be full."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)
    except OSError:
        pass


def _this_process() -> dict[str, Any]:
    return {
        'pid': os.getpid(),
        'host': socket.gethostname(),
        'start': time.strftime('%Y-%m-%d %H:%M:%S'),
        'command': one_line(shlex.join(sys.argv))[:200],
    }


def _owner(descriptor: int) -> dict[str, Any]:
    """Return what a lock file says of its owner; nothing where it is empty or damaged."""
    try:
        content = json.loads(os.pread(descriptor, 10_000, 0))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _described(owner: dict[str, Any]) -> str:
    parts = [owner.get(key, 'unknown') for key in ('pid', 'host', 'start', 'command')]
    return one_line('pid {} on {} since {}: {}'.format(*parts))


def _in_use(work_dir: str | Path, owner: dict[str, Any]) -> UserError:
    return UserError(
        f'work_dir {work_dir} is in use by another training ({_described(owner)}); wait for its end, end it, or choose '
        'another --work-dir'
    )


def _left_on_another_host(work_dir: str | Path, owner: dict[str, Any]) -> str:
    if not owner or owner.get('host') == socket.gethostname():
        return ''
    return (
        f'warning: an earlier training in {work_dir} did not end in order ({_described(owner)}); if it still runs on '
        'that host, end one of the two, for not every network file system shows the locks of other hosts'
    )
