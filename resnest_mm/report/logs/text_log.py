"""Reading the text log of one run for what scalars.json lacks: duration, length of an epoch, resumed iteration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

_STAMP: Final = re.compile(r'^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - ')
_EPOCH: Final = re.compile(r'Epoch\(train\)\s+\[\s*\d+\]\[\s*\d+/(\d+)\]')
_RESUMED: Final = re.compile(r'resumed epoch: \d+, iter: (\d+)')


@dataclass(frozen=True)
class TextLog:
    """Facts from one text log of mmengine.

    Args:
        seconds: Wall time from the first to the last line that has a time stamp.
        epoch_length: Iterations in an epoch; None where training is not counted in epochs.
        resumed_at: Iterations that were done before this run began; 0 for a fresh start.
    """

    seconds: float
    epoch_length: int | None
    resumed_at: int


def parse_text_log(path: Path) -> TextLog | None:
    """Return the facts in a text log, or None where the file is missing or has no time stamp.

    Args:
        path: mmengine's log, `WORK_DIR/<timestamp>/<timestamp>.log`.
    """
    if not path.is_file():
        return None
    first = last = None
    epoch_length: int | None = None
    resumed_at = 0
    with path.open(encoding='utf-8', errors='replace') as lines:
        for line in lines:
            stamp = _STAMP.match(line)
            if stamp is None:
                continue
            last = stamp[1]
            first = first or last
            if epoch := _EPOCH.search(line):
                epoch_length = int(epoch[1])
            elif resumed := _RESUMED.search(line):
                resumed_at = int(resumed[1])
    if first is None or last is None:
        return None
    return TextLog((_time(last) - _time(first)).total_seconds(), epoch_length, resumed_at)


def _time(stamp: str) -> datetime:
    return datetime.strptime(stamp, '%Y/%m/%d %H:%M:%S')
