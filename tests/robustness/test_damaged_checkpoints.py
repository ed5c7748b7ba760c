"""A damaged checkpoint is refused in one line; what has checksums is never read with other values than were written."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.support.amounts import amount, record_counts
from tests.support.damaged_files import CRAFTED, WHOLE_FILES, WITH_CHECKSUMS, write_damaged
from tests.support.read_in_child import read_in_child

KINDS = (*WHOLE_FILES, CRAFTED, CRAFTED)
ALLOWED = {'refused', 'read as written'}
WITHOUT_CHECKSUMS = {'refused by its values', 'read with other values'}
"""What may also become of a file in which nothing tells a changed value from another one."""


def test_a_damaged_file_is_refused_or_read_as_it_was_written(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    files: dict[Path, tuple[str, str]] = {}
    for seed in range(amount(64, whole=1000)):
        kind = KINDS[seed % len(KINDS)]
        path = tmp_path / f'{kind}-{seed}.pth'
        files[path] = (kind, write_damaged(path, kind, seed))
    found = read_in_child(list(files))
    outcomes, wrong = Counter[str](), []
    for path, (kind, damage) in files.items():
        outcome = found[path.name]['outcome']
        outcomes[outcome] += 1
        if outcome not in (ALLOWED if kind in WITH_CHECKSUMS else ALLOWED | WITHOUT_CHECKSUMS):
            wrong.append(f'{path.name} ({damage}): {outcome}')
    record_counts(record_property, 'damaged checkpoints', outcomes)
    assert wrong == []
    assert outcomes['refused'] > len(files) / 2


def test_each_kind_is_read_before_the_damage(tmp_path: Path) -> None:
    """Otherwise every refusal above would mean nothing."""
    for kind, write in WHOLE_FILES.items():
        whole = io.BytesIO()
        write(whole)
        (tmp_path / f'{kind}.pth').write_bytes(whole.getvalue())
    found = read_in_child(sorted(tmp_path.iterdir()))
    assert {name: result['outcome'] for name, result in found.items()} == {
        f'{kind}.pth': 'read as written' for kind in WHOLE_FILES
    }
