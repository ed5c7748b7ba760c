"""One file from one URL. An interrupted download continues where it stopped.

Written by hand, because torch.hub, which mmengine uses, has no timeout and restarts an interrupted download at the
beginning.
"""

from __future__ import annotations

import functools
import http.client
import os
import re
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.error import HTTPError, URLError

from tqdm import tqdm

from resnest_mm.errors import one_line
from resnest_mm.weights.hub.limits import LIMITS, DownloadError, Limits, Watch
from resnest_mm.weights.hub.opener import open_url

TIMEOUT: Final = 30.0
"""Seconds without a byte from a server before the download fails."""

_CHUNK: Final = 1 << 18
_SHOWN: Final = 200
_PAGES: Final = re.compile(r'text/(html|xml)|application/(.*\+)?(json|xml|xhtml)')
_RANGE_NOT_SATISFIABLE: Final = 416


def download(
    url: str,
    part: Path,
    *,
    timeout: float = TIMEOUT,
    progress: bool | None = None,
    takes_pages: bool = True,
    limits: Limits = LIMITS,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Download a file, and return whether the download continued an earlier one.

    Args:
        url: An http or https URL. Redirections to such URLs are followed.
        part: File to write. If it exists, it is the beginning of the download, and the rest is requested; a server that
            cannot send a rest sends everything. The file stays there after a failure.
        timeout: Seconds without a byte from the server before the download fails, above 0.
        progress: Whether to show a progress bar; None shows one on a terminal.
        takes_pages: Whether an answer may be called HTML, XML or JSON by its header. Where a checksum decides, the
            header does not matter.
        limits: When to give up a server that sends something, but too little.
        clock: Returns the time in seconds, for the limits.

    Raises:
        DownloadError: If the file could not be downloaded completely.
    """
    start = part.stat().st_size if part.exists() else 0
    transfer = functools.partial(
        _transfer,
        url,
        part,
        timeout=timeout,
        progress=progress,
        takes_pages=takes_pages,
        watch=Watch(limits, clock=clock),
    )
    with _download_errors(timeout, part):
        try:
            return transfer(start=start)
        except HTTPError as error:
            if error.code != _RANGE_NOT_SATISFIABLE or not start:
                raise
            if _total(error.headers.get('Content-Range', '')) != start:
                return transfer(start=0)
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
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        raise DownloadError('the archive is damaged') from error


def _transfer(
    url: str, part: Path, *, start: int, timeout: float, progress: bool | None, takes_pages: bool, watch: Watch
) -> bool:
    """Write the file from byte `start` on, or all of it if the server sends all; return whether it was from `start`."""
    headers = {'User-Agent': 'resnest_mm'}
    if start:
        headers['Range'] = f'bytes={start}-'
    with open_url(url, headers=headers, timeout=timeout, watch=watch) as answer:
        kind = answer.headers.get_content_type() if 'Content-Type' in answer.headers else ''
        if not takes_pages and _PAGES.fullmatch(kind):
            raise DownloadError(f'the server sent {kind} instead of a file')
        continues = (
            answer.status == http.HTTPStatus.PARTIAL_CONTENT
            and _first(answer.headers.get('Content-Range', '')) == start
        )
        if answer.status == http.HTTPStatus.PARTIAL_CONTENT and not continues:
            raise DownloadError('the server sent another part of the file than requested')
        done = start if continues else 0
        total = None if answer.length is None else done + answer.length
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
        raise DownloadError(f'HTTP {error.code} {_plain(error.reason)}') from error
    except TimeoutError as error:
        raise DownloadError(f'no answer within {timeout:g} s', interrupted=_is_started(part)) from error
    except URLError as error:
        silent = isinstance(error.reason, TimeoutError)
        reason = f'no answer within {timeout:g} s' if silent else _plain(error.reason)
        raise DownloadError(reason) from error
    except (ConnectionError, http.client.HTTPException) as error:
        raise DownloadError(f'the connection broke: {_plain(error)}', interrupted=_is_started(part)) from error
    except (OSError, ValueError, OverflowError) as error:
        raise DownloadError(f'{type(error).__name__}: {_plain(error)}') from error


def _plain(text: object) -> str:
    """Return a text that may come from the server in one line of printable characters."""
    return one_line(''.join(letter if letter.isprintable() else ' ' for letter in str(text)))[:_SHOWN]


def _is_started(part: Path) -> bool:
    return part.exists() and os.path.getsize(part) > 0


def _first(content_range: str) -> int | None:
    found = re.match(r'bytes (\d+)-', content_range)
    return int(found.group(1)) if found else None


def _total(content_range: str) -> int | None:
    found = re.match(r'bytes \*/(\d+)', content_range)
    return int(found.group(1)) if found else None
