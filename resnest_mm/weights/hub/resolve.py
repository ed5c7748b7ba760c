"""From the name of a checkpoint in a config to a file on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mmengine.runner import get_external_models, get_mmcls_models

from resnest_mm.errors import CheckpointError, one_line
from resnest_mm.weights.hub.cache import fetch
from resnest_mm.weights.hub.download import TIMEOUT
from resnest_mm.weights.hub.urls import cache_name, checked_url
from resnest_mm.weights.records.lookup import find_record, nearest_names
from resnest_mm.weights.records.record import DownloadSpec, Record

_SHOWN: Final = 200
_TORCHVISION: Final = ('torchvision', 'modelzoo')
SCHEMES: Final = ('http', 'https', 'open-mmlab', 'mmcls', 'openmmlab', *_TORCHVISION)
"""Schemes that are resolved here, in lower case; others are for the file backends of mmengine, such as `s3://`."""


@dataclass(frozen=True)
class ResolvedCheckpoint:
    """A checkpoint on this machine.

    Args:
        file: The file.
        record: Its record; None if it is not a published file.
    """

    file: Path
    record: Record | None


def resolve(checkpoint: str, *, timeout: float = TIMEOUT, progress: bool | None = None) -> ResolvedCheckpoint:
    """Return the file of a checkpoint, after checking its checksum if it is a published file.

    Args:
        checkpoint: Name of a record, path, http(s) URL, or name in one of mmengine's schemes `open-mmlab://` and
            `mmcls://`.
        timeout: Seconds without a byte from a server before the next one is tried, above 0.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        CheckpointError: If the file is not on this machine and cannot be downloaded.
    """
    record = find_record(checkpoint)
    if record is not None:
        return ResolvedCheckpoint(fetch(record, timeout=timeout, progress=progress), record)
    url = _find_url(checkpoint)
    if url is None:
        return ResolvedCheckpoint(_find_local(checkpoint), None)
    url = checked_url(url)
    spec = DownloadSpec(name=checkpoint, file_name=cache_name(url), mirrors=(url,))
    return ResolvedCheckpoint(fetch(spec, timeout=timeout, progress=progress), None)


def _find_url(checkpoint: str) -> str | None:
    """Return the URL of a checkpoint; None for a path."""
    scheme, separator, name = checkpoint.partition('://')
    scheme = scheme.lower()
    if not separator:
        return None
    if scheme in ('http', 'https'):
        return checkpoint
    if scheme in _TORCHVISION:
        raise CheckpointError(
            f'checkpoint {checkpoint!r} is of torchvision, which has no ResNeSt; use resnest50 or the like'
        )
    try:
        known = get_mmcls_models() if scheme == 'mmcls' else get_external_models()
    except (OSError, ValueError) as error:  # mmengine makes its cache folder and reads a file of the user in it
        raise CheckpointError(f'the names of {scheme}:// cannot be read: {one_line(error)}') from error
    url = known.get(name)
    if not isinstance(url, str) or not url.startswith(('http://', 'https://')):
        raise CheckpointError(f'checkpoint {checkpoint!r} cannot be read: {scheme}:// has no {name}{_suggest(name)}')
    return url


def _find_local(checkpoint: str) -> Path:
    file = Path(os.path.expanduser(checkpoint))  # Path.expanduser raises an error for a user that is unknown
    try:
        is_file, is_folder = file.is_file(), file.is_dir()
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise CheckpointError(f'checkpoint {checkpoint[:_SHOWN]!r} cannot be read: {reason}') from error
    if is_file:
        return file
    if is_folder:
        raise CheckpointError(f'checkpoint {checkpoint!r} cannot be read: it is a folder; name a file in it')
    raise CheckpointError(
        f'checkpoint {checkpoint!r} cannot be found: no such file, and no known name{_suggest(checkpoint)}'
    )


def _suggest(name: str) -> str:
    nearest = nearest_names(name)
    return f'; did you mean {" or ".join(nearest)}?' if nearest else ''
