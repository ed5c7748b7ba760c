"""From what a config calls a checkpoint to a file on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlparse

from mmengine.runner import checkpoint as hub

from resnest_mm.errors import CheckpointError
from resnest_mm.weights.hub.cache import Wanted, fetch
from resnest_mm.weights.hub.download import TIMEOUT
from resnest_mm.weights.records.lookup import find_record, nearest_names
from resnest_mm.weights.records.record import Record

_TORCHVISION: Final = ('torchvision', 'modelzoo')
_SCHEMES: Final = ('http', 'https', 'open-mmlab', 'openmmlab', 'mmcls', *_TORCHVISION)


def is_elsewhere(checkpoint: str) -> bool:
    """Return whether only mmengine's file backends can read a checkpoint, as with `s3://` and `petrel://`.

    Args:
        checkpoint: What a config says.
    """
    scheme, separator, _ = checkpoint.partition('://')
    return bool(separator) and scheme not in _SCHEMES


def resolve(checkpoint: str, *, timeout: float = TIMEOUT, progress: bool | None = None) -> Path:
    """Return the file that a checkpoint means, checked against its published hash where one is known.

    Args:
        checkpoint: A record's name, a path, an http(s) URL, or a name in one of mmengine's schemes `open-mmlab://` and
            `mmcls://`.
        timeout: Seconds without a byte from a server after which to try the next, above 0.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        CheckpointError: Where there is no such file, here or there.
    """
    record = find_record(checkpoint)
    if record is not None:
        return fetch_record(record, timeout=timeout, progress=progress)
    url = _url(checkpoint)
    if url is not None:
        wanted = Wanted(name=checkpoint, file_name=unquote(urlparse(url).path.rpartition('/')[2]), mirrors=(url,))
        if not wanted.file_name:
            raise CheckpointError(f'checkpoint {checkpoint!r} cannot be read: the URL names no file')
        return fetch(wanted, timeout=timeout, progress=progress)
    return _local(checkpoint)


def fetch_record(record: Record, *, timeout: float = TIMEOUT, progress: bool | None = None) -> Path:
    """Return the file of a record, see `resnest_mm.weights.hub.cache.fetch`.

    Args:
        record: The record.
        timeout: Seconds without a byte from a server after which to try the next, above 0.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        CheckpointError: Where no place has the file.
    """
    wanted = Wanted(
        name=record.name,
        file_name=record.file_name,
        mirrors=record.mirrors,
        digest=record.digest,
        algorithms=record.algorithms,
    )
    return fetch(wanted, timeout=timeout, progress=progress)


def _url(checkpoint: str) -> str | None:
    scheme, separator, name = checkpoint.partition('://')
    if not separator:
        return None
    if scheme in ('http', 'https'):
        return checkpoint
    if scheme in _TORCHVISION:
        raise CheckpointError(
            f'checkpoint {checkpoint!r} is of torchvision, which has no ResNeSt; use resnest50 or the like'
        )
    known = hub.get_mmcls_models() if scheme == 'mmcls' else hub.get_external_models()
    found = known.get(name)
    if not isinstance(found, str) or not found.startswith(('http://', 'https://')):
        raise CheckpointError(f'checkpoint {checkpoint!r} cannot be read: {scheme}:// knows no {name}{_hint(name)}')
    return found


def _local(checkpoint: str) -> Path:
    file = Path(checkpoint).expanduser()
    if file.is_file():
        return file
    if file.is_dir():
        raise CheckpointError(f'checkpoint {checkpoint!r} cannot be read: it is a folder; name a file in it')
    raise CheckpointError(
        f'checkpoint {checkpoint!r} can not be found: no such file, and no known name{_hint(checkpoint)}'
    )


def _hint(name: str) -> str:
    nearest = nearest_names(name)
    return f'; did you mean {" or ".join(nearest)}?' if nearest else ''
