"""Reading a COCO file: JSON that may be damaged, and its lists of mappings."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from resnest_mm.errors import one_line
from resnest_mm.training.data_check.finding import Finding, tallied

Lists = dict[str, list[dict[str, Any]]]

_NEEDED = ('images', 'categories')
_LISTS = (*_NEEDED, 'annotations')


def read_lists(key: str, path: str) -> tuple[Lists | None, list[Finding]]:
    """Return the lists of a COCO file without the entries that are no mappings, and the faults of the file.

    Args:
        key: Where the data set stands in the config.
        path: The file.

    Returns:
        The lists `images`, `categories` and `annotations`, or None where the file has no such contents.
    """
    content, fault = read_json(path)
    if fault:
        return None, [_wrong(key, f'{path} {fault}')]
    if not isinstance(content, dict):
        kind = {list: 'a list'}.get(type(content), f'a {type(content).__name__}')
        return None, [_wrong(key, f'{path} holds {kind}, and COCO needs an object with {", ".join(_LISTS)}')]
    lacking = [name for name in _NEEDED if name not in content]
    if lacking:
        return None, [_wrong(key, f'{path} has no {" and no ".join(lacking)}, which COCO needs')]
    lists: Lists = {}
    findings: list[Finding] = []
    for name in _LISTS:
        entries = content.get(name, [])
        if not isinstance(entries, list):
            return None, [_wrong(key, f'{name} of {path} is a {type(entries).__name__}, and must be a list')]
        lists[name] = [entry for entry in entries if type(entry) is dict]
        if len(lists[name]) < len(entries):
            wrong = (f'number {index}: {entry!r}' for index, entry in enumerate(entries) if type(entry) is not dict)
            findings += tallied(key, 'error', f'entries of {name} are no objects', wrong, total=len(entries))
    return lists, findings


def read_json(path: str) -> tuple[Any, str]:
    """Return the contents of a JSON file, and why it cannot be read, empty if it can.

    Args:
        path: The file.
    """
    try:
        if os.path.getsize(path) == 0:
            return None, 'is empty'
        return json.loads(Path(path).read_text(encoding='utf-8')), ''
    except UnicodeDecodeError as error:
        return None, f'is not UTF-8 (byte {error.start}), save it as UTF-8'
    except json.JSONDecodeError as error:
        place = f'line {error.lineno}, column {error.colno}'
        ends = error.pos >= len(error.doc.rstrip()) or error.msg.startswith('Unterminated')
        return None, f'is no JSON{": it ends too early, so it was truncated" * ends} ({one_line(error.msg)}: {place})'
    except RecursionError:
        return None, 'is nested too deeply for a JSON file of annotations'
    except (OSError, ValueError, MemoryError) as error:
        return None, f'cannot be read: {type(error).__name__}: {one_line(error)}'


def _wrong(key: str, what: str) -> Finding:
    return Finding(severity='error', key=key, what=what)
