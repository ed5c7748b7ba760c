"""One file from one URL. An interrupted download continues where it stopped.

Written by hand, because torch.hub, which mmengine uses, has no timeout and restarts an interrupted download at the
beginning.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

TIMEOUT: Final = 30.0
"""Seconds without a byte from a server before the download fails."""

_CHUNK: Final = 1 << 18
_RANGE_NOT_SATISFIABLE: Final = 416


class DownloadError(OSError):
    """A failed download.

    Args:
        reason: The reason, in few words.
        interrupted: Whether a part of the file has arrived, so that another attempt continues it.
    """

    def __init__(self, reason: str, *, interrupted: bool = False) -> None:
        super().__init__(reason)
        self.interrupted = interrupted


def download(url: str, part: Path, *, timeout: float = TIMEOUT, progress: bool | None = None) -> bool:
    """Download a file, and return whether the download continued an earlier one.

    Args:
        url: An http or https URL. Redirections are followed.
        part: File to write. If it exists, it is the beginning of the download, and the rest is requested; a server that
            cannot send a rest sends everything. The file stays there after a failure.
        timeout: Seconds without a byte from the server before the download fails, above 0.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        DownloadError: If the file could not be downloaded completely.
    """
    start = part.stat().st_size if part.exists() else 0
    with _download_errors(timeout, part):
        try:
            return _transfer(url, part, start=start, timeout=timeout, progress=progress)
        except HTTPError as error:
            if error.code != _RANGE_NOT_SATISFIABLE or not start:
                raise
            if _total(error.headers.get('Content-Range', '')) != start:
                return _transfer(url, part, start=0, timeout=timeout, progress=progress)
    return True


def unpack(archive: Path, file_name: str, target: Path) -> None:
    """Extract one file from a zip archive.

    Args:
        archive: The archive.
        file_name: Name of the file, which may be in any folder of the archive.
        target: File to write.

    Raises:
        DownloadError: If this is no archive, or if it holds no such file.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [name for name in opened.namelist() if name.rpartition('/')[2] == file_name]
            if not members:
                raise DownloadError(f'the archive holds no {file_name}')
            with opened.open(members[0]) as source, target.open('wb') as sink:
                shutil.copyfileobj(source, sink)
    except zipfile.BadZipFile as error:
        raise DownloadError('the archive is damaged') from error


def _transfer(url: str, part: Path, *, start: int, timeout: float, progress: bool | None) -> bool:
    """Write the file from byte `start` on, or all of it if the server sends all; return whether it was from `start`."""
    headers = {'User-Agent': 'resnest_mm'}
    if start:
        headers['Range'] = f'bytes={start}-'
    with urlopen(Request(url, headers=headers), timeout=timeout) as answer:
        continues = (
            answer.status == http.HTTPStatus.PARTIAL_CONTENT
            and _first(answer.headers.get('Content-Range', '')) == start
        )
        if answer.status == http.HTTPStatus.PARTIAL_CONTENT and not continues:
            raise DownloadError('the server sent another part of the file than requested')
        length = answer.headers.get('Content-Length')
        done = start if continues else 0
        total = None if length is None else done + int(length)
        bar = tqdm(
            total=total,
            initial=done,
            unit='B',
            unit_scale=True,
            unit_divisor=1024,
            desc=part.name.removesuffix('.part'),
            disable=None if progress is None else not progress,  # None: shown on a terminal only
        )
        with bar, part.open('ab' if continues else 'wb') as sink:
            while chunk := answer.read1(_CHUNK):
                sink.write(chunk)
                done += len(chunk)
                bar.update(len(chunk))
    if total is not None and done != total:
        raise DownloadError(f'the connection ended after {done} of {total} bytes', interrupted=True)
    return bool(continues)


@contextmanager
def _download_errors(timeout: float, part: Path) -> Iterator[None]:
    """Raise every error of a transfer as a DownloadError."""
    try:
        yield
    except DownloadError:
        raise
    except HTTPError as error:
        raise DownloadError(f'HTTP {error.code} {error.reason}') from error
    except TimeoutError as error:
        raise DownloadError(f'no answer within {timeout:g} s', interrupted=_is_started(part)) from error
    except URLError as error:
        reason = f'no answer within {timeout:g} s' if isinstance(error.reason, TimeoutError) else str(error.reason)
        raise DownloadError(reason) from error
    except (ConnectionError, http.client.HTTPException) as error:
        raise DownloadError(f'the connection broke: {error}', interrupted=_is_started(part)) from error
    except (OSError, ValueError) as error:
        raise DownloadError(f'{type(error).__name__}: {error}') from error


def _is_started(part: Path) -> bool:
    return part.exists() and os.path.getsize(part) > 0


def _first(content_range: str) -> int | None:
    found = re.match(r'bytes (\d+)-', content_range)
    return int(found.group(1)) if found else None


def _total(content_range: str) -> int | None:
    found = re.match(r'bytes \*/(\d+)', content_range)
    return int(found.group(1)) if found else None
