"""A file on this machine for every kind of checkpoint that a config or a command line can name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from mmengine.fileio import get_local_path
from mmengine.fileio.backends.registry_utils import prefix_to_backends

from resnest_mm.errors import CheckpointError, one_line
from resnest_mm.weights.hub.resolve import SCHEMES, resolve
from resnest_mm.weights.records.record import Record

_SHOWN: Final = 200


@dataclass(frozen=True)
class LocalCopy:
    """A checkpoint on this machine.

    Args:
        file: The file.
        record: Its record; None if it is not a published file.
        stays: Whether the file is there after its use; that of a file backend is temporary.
    """

    file: Path
    record: Record | None = None
    stays: bool = True


@contextmanager
def local_copy(checkpoint: str) -> Iterator[LocalCopy]:
    """Yield a checkpoint as a file on this machine; it is downloaded if it is elsewhere.

    Args:
        checkpoint: As for `resnest_mm.weights.hub.resolve.resolve`, or a path of another file backend of mmengine, such
            as `s3://`.

    Raises:
        CheckpointError: If it cannot be found or fetched, or if its scheme is unknown.
    """
    scheme, separator, _ = checkpoint.partition('://')
    if not separator or scheme.lower() in SCHEMES:
        found = resolve(checkpoint)
        yield LocalCopy(found.file, found.record)
        return
    _check_scheme(checkpoint, scheme)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(get_local_path(checkpoint))
        except Exception as error:  # each client of a storage raises errors of its own
            reason = f'{type(error).__name__}: {one_line(error)}'[:_SHOWN]
            raise CheckpointError(
                f'checkpoint {checkpoint!r} cannot be read: {reason}; copy it to this machine and give its path'
            ) from error
        yield LocalCopy(Path(file), stays=False)


def _check_scheme(checkpoint: str, scheme: str) -> None:
    if scheme.lower() == 'file':
        path = unquote(urlsplit(checkpoint).path)
        raise CheckpointError(
            f'checkpoint {checkpoint!r} cannot be read: it is a file of this machine; give its path, {path}'
        )
    backends = sorted(name for name in prefix_to_backends if name not in ('', 'http', 'https'))
    if scheme not in backends:
        known = ', '.join(f'{name}://' for name in (*SCHEMES[:4], *backends))
        raise CheckpointError(
            f'checkpoint {checkpoint!r} cannot be read: the scheme {scheme}:// is unknown; give a path or {known}'
        )
