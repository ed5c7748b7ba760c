"""A published file on this machine: found, checked and, where there is none, downloaded once for all ranks."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlparse

import torch.hub
from filelock import FileLock
from mmengine.logging import print_log

from resnest_mm.errors import CheckpointError
from resnest_mm.weights.hub.checksum import damage
from resnest_mm.weights.hub.download import TIMEOUT, DownloadError, download, unpack

FOLDER_VARIABLE: Final = 'RESNEST_MM_WEIGHTS'
"""Environment variable that names a folder of weight files, which is looked into first."""


@dataclass(frozen=True)
class Wanted:
    """A file to have.

    Args:
        name: What to call it in a message.
        file_name: Its name in a folder.
        mirrors: Where to download it from, in this order.
        digest: Its hash, or the beginning of it; None where none is known.
        algorithms: What the hash may be of.
    """

    name: str
    file_name: str
    mirrors: tuple[str, ...] = ()
    digest: str | None = None
    algorithms: tuple[str, ...] = ('sha256',)


def fetch(wanted: Wanted, *, timeout: float = TIMEOUT, progress: bool | None = None) -> Path:
    """Return the path of a checked file, which is downloaded where this machine has none.

    Looked into, in this order: the folder that `RESNEST_MM_WEIGHTS` names, torch hub's cache, the mirrors. What is
    downloaded goes to the first of the two folders that can be written to. A file with another hash than the published
    one gets the ending `.corrupt-1` (`-2`, ...) and is replaced. Processes that want the same file wait for the one
    that downloads it.

    Args:
        wanted: The file.
        timeout: Seconds without a byte from a server after which to try the next, above 0.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        CheckpointError: Where no place has the file, with every place tried and the file name that would do; or where
            `RESNEST_MM_WEIGHTS` names no folder.
    """
    folders = search_folders()
    for folder in folders:
        file = folder / wanted.file_name
        if file.is_file() and damage(file, digest=wanted.digest, algorithms=wanted.algorithms) is None:
            return file
    tried: list[str] = []
    target = next((folder for folder in folders if _writable(folder)), None)
    if target is None:
        tried.extend(f'{folder} (no {wanted.file_name}, and cannot be written to)' for folder in folders)
        raise _unavailable(wanted, tried)
    with FileLock(target / f'{wanted.file_name}.lock'):
        found = _search(wanted, folders, tried) or _download(wanted, target, tried, timeout=timeout, progress=progress)
    if found is None:
        raise _unavailable(wanted, tried)
    return found


def search_folders() -> list[Path]:
    """Return the folders in which weight files are looked for, in this order.

    Raises:
        CheckpointError: Where `RESNEST_MM_WEIGHTS` names no folder.
    """
    folders = [Path(torch.hub.get_dir()) / 'checkpoints']
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        folder = Path(named).expanduser()
        if not folder.is_dir():
            raise CheckpointError(f'{FOLDER_VARIABLE}={named} is no folder; make it, correct it, or unset it')
        folders.insert(0, folder)
    return folders


def _search(wanted: Wanted, folders: Sequence[Path], tried: list[str]) -> Path | None:
    """Return the file from the first folder that has it undamaged; damaged ones are set aside, under the lock."""
    for folder in folders:
        file = folder / wanted.file_name
        if not file.is_file():
            tried.append(f'{file} (not there)')
            continue
        fault = damage(file, digest=wanted.digest, algorithms=wanted.algorithms)
        if fault is None:
            return file
        aside = _set_aside(file)
        outcome = f'moved to {aside.name}' if aside else 'could not be moved away'
        print_log(f'{file} is not used: {fault}; {outcome}', logger='current', level=logging.WARNING)
        tried.append(f'{file} ({fault}; {outcome})')
    return None


def _download(wanted: Wanted, folder: Path, tried: list[str], *, timeout: float, progress: bool | None) -> Path | None:
    final = folder / wanted.file_name
    for url in wanted.mirrors:
        print_log(f'downloading {url} to {final}', logger='current')
        for attempt in ('first', 'second'):
            try:
                _attempt(wanted, url, final, timeout=timeout, progress=progress)
            except DownloadError as error:
                if error.interrupted and attempt == 'first':
                    continue
                tried.append(f'{url} ({error})')
                break
            return final
    return None


def _attempt(wanted: Wanted, url: str, final: Path, *, timeout: float, progress: bool | None) -> None:
    """Download from one URL, and give the file its name once it is whole and the right one."""
    whole = final.with_name(f'{final.name}.part')
    packed = urlparse(url).path.endswith('.zip') and not final.name.endswith('.zip')
    part = final.with_name(f'{final.name}.zip.part') if packed else whole
    if wanted.digest is None:
        # without a hash nothing tells whether the rest would come from the same file
        part.unlink(missing_ok=True)
    continued = download(url, part, timeout=timeout, progress=progress)
    try:
        if packed:
            unpack(part, final.name, whole)
        fault = damage(whole, digest=wanted.digest, algorithms=wanted.algorithms)
    except DownloadError as error:
        part.unlink(missing_ok=True)
        raise DownloadError(str(error), interrupted=continued) from error
    if fault is not None:
        for leftover in {part, whole}:
            leftover.unlink(missing_ok=True)
        raise DownloadError(f'not the published file: {fault}', interrupted=continued)
    os.replace(whole, final)
    if packed:
        part.unlink(missing_ok=True)


def _set_aside(file: Path) -> Path | None:
    for aside in _free_names(file):
        with contextlib.suppress(OSError):
            os.replace(file, aside)
            return aside
        break
    return None


def _free_names(file: Path) -> Iterator[Path]:
    number = 1
    while True:
        aside = file.with_name(f'{file.name}.corrupt-{number}')
        if not aside.exists():
            yield aside
        number += 1


def _writable(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        return os.access(folder, os.W_OK)
    return False


def _unavailable(wanted: Wanted, tried: Sequence[str]) -> CheckpointError:
    known = f' ({" or ".join(wanted.algorithms)} {wanted.digest[:8]}...)' if wanted.digest else ''
    return CheckpointError(
        f'checkpoint {wanted.name!r} cannot be had; tried {"; ".join(tried)}. Without a network, bring '
        f'{wanted.file_name}{known} to this machine and set {FOLDER_VARIABLE} to its folder'
    )
