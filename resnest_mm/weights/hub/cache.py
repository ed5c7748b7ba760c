"""Published files on this machine: looked for in the weight folder and torch hub's cache, checked, downloaded once.

Written by hand, because torch.hub and mmengine, which uses it, know one URL for a file and one folder, check a file
only after its download, restart an interrupted download at the beginning, and download twice if two jobs start
together.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import torch.hub
from mmengine.logging import print_log

from resnest_mm.errors import CheckpointError
from resnest_mm.weights.hub.checksum import checksum_mismatch
from resnest_mm.weights.hub.download import TIMEOUT, download, unpack
from resnest_mm.weights.hub.limits import DownloadError
from resnest_mm.weights.hub.lock import PATIENCE, only_here
from resnest_mm.weights.records.record import DownloadSpec

FOLDER_VARIABLE: Final = 'RESNEST_MM_WEIGHTS'
"""Environment variable that names a folder of weight files, which is searched first."""

_checked: set[tuple[Path, int, int, str]] = set()
"""Files of this process with the right checksum: path, size, time of change in nanoseconds, digest."""


def fetch(
    spec: DownloadSpec, *, timeout: float = TIMEOUT, progress: bool | None = None, patience: float = PATIENCE
) -> Path:
    """Return the path of a file with the right checksum; it is downloaded if this machine does not have it.

    Places are searched in this order: the folder in `RESNEST_MM_WEIGHTS`, torch hub's cache, the mirrors. A download
    goes to the first of the two folders that is writable. A file with another checksum is renamed to `*.corrupt-1`
    (`-2`, ...) and replaced. If several processes want the same file, one downloads it and the others wait.

    Args:
        spec: The file; the record of a published file is one.
        timeout: Seconds without a byte from a server before the next one is tried, above 0.
        progress: Whether to show a progress bar; None shows one on a terminal.
        patience: Seconds to wait for another process whose download does not grow, above 0.

    Raises:
        CheckpointError: If no place has the file; the message lists all places and the file to bring. Also if
            `RESNEST_MM_WEIGHTS` does not name a folder, or if another process holds the lock of the file.
    """
    folders = search_folders()
    for folder in folders:
        file = folder / spec.file_name
        if file.is_file() and _mismatch(file, spec) is None:
            return file
    tried: list[str] = []
    target = next((folder for folder in folders if _is_writable(folder)), None)
    if target is None:
        tried.extend(f'{folder} (no {spec.file_name}, and cannot be written to)' for folder in folders)
        raise _unavailable(spec, tried)
    with only_here(target / spec.file_name, patience=patience):
        found = _search(spec, folders, tried) or _download(spec, target, tried, timeout=timeout, progress=progress)
    if found is None:
        raise _unavailable(spec, tried)
    return found


def search_folders() -> list[Path]:
    """Return the folders that are searched for weight files, in this order.

    Raises:
        CheckpointError: If `RESNEST_MM_WEIGHTS` does not name a folder.
    """
    folders = [Path(torch.hub.get_dir()) / 'checkpoints']
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        folder = Path(named).expanduser()
        if not folder.is_dir():
            raise CheckpointError(f'{FOLDER_VARIABLE}={named} is no folder; make it, correct it, or unset it')
        folders.insert(0, folder)
    return folders


def _mismatch(file: Path, spec: DownloadSpec) -> str | None:
    """Return how a file differs from the published one. A file with the right checksum is hashed once in a process."""
    key = _key(file, spec)
    if key in _checked:
        return None
    try:
        mismatch = checksum_mismatch(file, digest=spec.digest, algorithms=spec.algorithms)
    except OSError as error:
        return f'it cannot be read: {error.strerror}'
    if mismatch is None:
        _checked.add(key)
    return mismatch


def _key(file: Path, spec: DownloadSpec) -> tuple[Path, int, int, str]:
    state = file.stat()
    return file, state.st_size, state.st_mtime_ns, spec.digest or ''


def _search(spec: DownloadSpec, folders: Sequence[Path], tried: list[str]) -> Path | None:
    """Return the first file with the right checksum, and rename the others. The caller holds the lock."""
    for folder in folders:
        file = folder / spec.file_name
        if not file.is_file():
            tried.append(f'{file} (not there)')
            continue
        mismatch = _mismatch(file, spec)
        if mismatch is None:
            return file
        aside = _move_aside(file)
        outcome = f'moved to {aside.name}' if aside else 'could not be moved away'
        print_log(f'{file} is not used: {mismatch}; {outcome}', logger='current', level=logging.WARNING)
        tried.append(f'{file} ({mismatch}; {outcome})')
    return None


def _download(
    spec: DownloadSpec, folder: Path, tried: list[str], *, timeout: float, progress: bool | None
) -> Path | None:
    final = folder / spec.file_name
    for url in spec.mirrors:
        print_log(f'downloading {url} to {final}', logger='current')
        for attempt in ('first', 'second'):
            try:
                _download_from(url, final, spec, timeout=timeout, progress=progress)
            except DownloadError as error:
                if error.interrupted and attempt == 'first':
                    continue
                tried.append(f'{url} ({error})')
                break
            return final
    return None


def _download_from(url: str, final: Path, spec: DownloadSpec, *, timeout: float, progress: bool | None) -> None:
    """Download from one URL; the file gets its final name once it is complete and has the right checksum."""
    whole = final.with_name(f'{final.name}.part')
    is_packed = urlsplit(url).path.endswith('.zip') and not final.name.endswith('.zip')
    part = final.with_name(f'{final.name}.zip.part') if is_packed else whole
    if spec.digest is None:
        # Without a checksum, nothing would tell if the rest came from another version of the file.
        part.unlink(missing_ok=True)
    continued = download(url, part, timeout=timeout, progress=progress, takes_pages=spec.digest is not None)
    try:
        if is_packed:
            unpack(part, final.name, whole)
        mismatch = checksum_mismatch(whole, digest=spec.digest, algorithms=spec.algorithms)
    except DownloadError as error:
        part.unlink(missing_ok=True)
        raise DownloadError(str(error), interrupted=continued) from error
    if mismatch is not None:
        for leftover in {part, whole}:
            leftover.unlink(missing_ok=True)
        raise DownloadError(f'not the published file: {mismatch}', interrupted=continued)
    try:
        os.replace(whole, final)
    except OSError as error:
        raise DownloadError(f'{final} cannot be written: {error.strerror}') from error
    _checked.add(_key(final, spec))
    if is_packed:
        part.unlink(missing_ok=True)


def _move_aside(file: Path) -> Path | None:
    number = 1
    while (aside := file.with_name(f'{file.name}.corrupt-{number}')).exists():
        number += 1
    with contextlib.suppress(OSError):
        os.replace(file, aside)
        return aside
    return None


def _is_writable(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        return os.access(folder, os.W_OK)
    return False


def _unavailable(spec: DownloadSpec, tried: Sequence[str]) -> CheckpointError:
    known = f' ({" or ".join(spec.algorithms)} {spec.digest[:8]}...)' if spec.digest else ''
    return CheckpointError(
        f'checkpoint {spec.name!r} cannot be found; tried {"; ".join(tried)}. Without a network, bring '
        f'{spec.file_name}{known} to this machine and set {FOLDER_VARIABLE} to its folder'
    )
