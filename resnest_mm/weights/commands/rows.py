"""A report on a checkpoint as rows of a word and a text, printed as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from resnest_mm.errors import printable

Row: TypeAlias = tuple[str, str]


def format_rows(rows: Sequence[Row]) -> str:
    """Return the rows as lines, the texts in one column.

    Args:
        rows: At least one pair of a word and a text.
    """
    width = max(len(word) for word, _ in rows)
    return '\n'.join(f'{word:{width}}  {printable(text)}' for word, text in rows)
