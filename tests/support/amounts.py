"""How much of a long test runs: a part in `make test`, everything in `make test-all`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Final

WHOLE: Final = bool(os.environ.get('RESNEST_MM_WHOLE'))
"""Whether this is `make test-all`."""

COUNTS: Final = 'counts'
"""Name under which a test records the line of its counts, which pytest prints at its end."""


def amount(part: int, *, whole: int) -> int:
    """Return the number of inputs for a test.

    Args:
        part: The number in `make test`.
        whole: The number in `make test-all`.
    """
    return whole if WHOLE else part


def record_counts(record_property: Callable[[str, object], None], name: str, outcomes: Counter[str]) -> None:
    """Record how often each outcome came, for the end of pytest's output.

    Args:
        record_property: The fixture of pytest.
        name: What was tried.
        outcomes: Number of inputs by outcome.
    """
    details = ', '.join(f'{number} {outcome}' for outcome, number in sorted(outcomes.items()))
    record_property(COUNTS, f'{name}: {outcomes.total()} tried, {details}')
