"""The URLs that can be downloaded, and the names of their files in the cache."""

from __future__ import annotations

import hashlib
import re
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from resnest_mm.errors import CheckpointError

_SHOWN: Final = 200
_LONGEST_URL: Final = 4000
_LONGEST_STEM: Final = 100
_SUFFIXES: Final = ('pth', 'pt', 'pkl', 'npz', 'safetensors', 'ckpt', 'bin', 'tar', 'zip')
_DIGITS: Final = 12


def checked_url(url: str) -> str:
    """Return an http or https URL as it is sent to its server: without its fragment, and in ASCII.

    Args:
        url: The URL, as in a config.

    Raises:
        CheckpointError: If it names no host or no file, if it is absurdly long, or if it has a wrong port, a user name,
            blanks or control characters.
    """
    shown = repr(url if len(url) <= _SHOWN else f'{url[:_SHOWN]}...')
    if len(url) > _LONGEST_URL:
        raise CheckpointError(f'checkpoint {shown} cannot be read: the URL has {len(url)} characters')
    try:
        url.encode()
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise CheckpointError(f'checkpoint {shown} cannot be read: the URL is wrong: {error}') from error
    if parts.username is not None or parts.password is not None:
        # Neither is shown, since messages end in logs.
        place = f'{parts.scheme}://...@{host}'
        raise CheckpointError(f'the checkpoint at {place} cannot be read: leave the user name out of the URL')
    if not host or port == 0:
        raise CheckpointError(f'checkpoint {shown} cannot be read: the URL names no {"port" if host else "host"}')
    if re.search(r'[\x00-\x20\x7f]', url):
        raise CheckpointError(f'checkpoint {shown} cannot be read: the URL has blanks or control characters; use %20')
    if not unquote(parts.path.rpartition('/')[2]):
        raise CheckpointError(f'checkpoint {shown} cannot be read: the URL names no file')
    # Everything that a URL may have stays, such as % before two digits; other characters are written in UTF-8.
    return quote(parts._replace(fragment='').geturl(), safe="%/:=&?~#+!$,;'@()*[]")


def cache_name(url: str) -> str:
    """Return the name of a URL's file in the cache: its name in the URL, and a hash of the whole URL.

    The hash keeps the files of two URLs apart that have one name, such as `epoch_12.pth`. Characters that a file system
    may read in another way, such as `/` written as `%2F`, become `_`, and a long name is cut.

    Args:
        url: As returned by `checked_url`.
    """
    name = unquote(urlsplit(url).path.rpartition('/')[2])
    plain = re.sub(r'[^A-Za-z0-9._+=-]+', '_', name).lstrip('.-')
    stem, _, suffix = plain.rpartition('.')
    if suffix.lower() not in _SUFFIXES:
        stem, suffix = plain, ''
    digest = hashlib.sha256(url.encode()).hexdigest()[:_DIGITS]
    # `url` before the hash, because other tools take digits after a hyphen for a hash of the content.
    return f'{stem[:_LONGEST_STEM] or "file"}-url{digest}{f".{suffix}" if suffix else ""}'
