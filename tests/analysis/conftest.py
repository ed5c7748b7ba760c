from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

WriteRun = Callable[..., Path]


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Return what writes one run as mmengine lays it out: `<stamp>/vis_data/scalars.json` and `<stamp>/<stamp>.log`."""

    def write(stamp: str, lines: Sequence[dict[str, Any]], *, log: Sequence[str] | None = None) -> Path:
        folder = tmp_path / stamp / 'vis_data'
        folder.mkdir(parents=True)
        (folder / 'scalars.json').write_text(''.join(json.dumps(line) + '\n' for line in lines))
        if log is not None:
            (tmp_path / stamp / f'{stamp}.log').write_text('\n'.join(log) + '\n')
        return tmp_path

    return write
