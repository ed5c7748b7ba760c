"""Findings about annotations, kept for the next run under a digest of the annotations."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final

from resnest_mm.atomic import replacing
from resnest_mm.training.data_check.finding import Finding
from resnest_mm.training.data_check.source import Contents, ImageEntry

FOLDER_VARIABLE: Final = 'RESNEST_MM_CACHE'
"""Environment variable that names the folder of the cache; by default it is below the user's cache folder."""

_VERSION: Final = 1
"""To be raised when a check finds more or less than before, so that older results do not count."""

_MOST_FILES: Final = 100


def cache_folder() -> Path:
    """Return the folder of the cache, which need not exist."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named).expanduser() / 'data_check'
    base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return Path(base).expanduser() / 'resnest_mm' / 'data_check'


def digest(*parts: Any) -> str:
    """Return the name under which results are kept.

    Args:
        parts: All that the results depend on, each with a `repr` that says all about it.
    """
    return hashlib.sha256(repr((_VERSION, parts)).encode(errors='surrogateescape')).hexdigest()


def recall(name: str) -> Contents | None:
    """Return what was kept under a name; None where there is nothing usable.

    Args:
        name: From `digest`.
    """
    try:
        content = json.loads((cache_folder() / f'{name}.json').read_text(encoding='utf-8'))
        findings = tuple(Finding(**{**one, 'examples': tuple(one['examples'])}) for one in content['findings'])
        labels = None if content['labels'] is None else tuple(content['labels'])
        return Contents(findings, tuple(ImageEntry(*entry) for entry in content['images']), labels)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def keep(name: str, contents: Contents) -> None:
    """Keep what was found.

    A cache that cannot be written is none. The oldest results are removed beyond a hundred.

    Args:
        name: From `digest`.
        contents: What was found.
    """
    content = {
        'findings': [dataclasses.asdict(finding) for finding in contents.findings],
        'images': contents.images,
        'labels': contents.labels,
    }
    folder = cache_folder()
    with contextlib.suppress(OSError, ValueError):
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / f'{name}.json') as temporary:
            temporary.write_text(json.dumps(content), encoding='utf-8')
        for old in sorted(folder.glob('*.json'), key=lambda path: path.stat().st_mtime)[:-_MOST_FILES]:
            old.unlink(missing_ok=True)
