"""A finding about a data set, and how examples of one sort of fault are collected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from resnest_mm.errors import one_line

Severity = Literal['error', 'warning', 'note']
"""`error`: cannot be right, the run is refused. `warning`: may be right. `note`: something was not checked."""

MOST_EXAMPLES: Final = 3
_LONGEST_EXAMPLE: Final = 160


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sort of fault in one data set.

    Args:
        severity: What follows from it.
        key: Where in the config the data set stands, such as `train_dataloader.dataset`, or another key of it.
        what: The fault as a phrase of which the count is the start: `boxes have no area`. Without a count it is a whole
            phrase: `the file is no JSON: ...`.
        count: How many there are; None for a fault of the whole.
        total: How many were looked at; None where it says nothing.
        examples: A few of them, each with file or id, and value.
        remedy: What the user can do.
    """

    severity: Severity
    key: str
    what: str
    count: int | None = None
    total: int | None = None
    examples: tuple[str, ...] = ()
    remedy: str = ''

    def __str__(self) -> str:
        """Return the finding in one line, without its severity."""
        number = '' if self.count is None else f'{self.count} '
        number += '' if self.total is None or self.count is None else f'of {self.total} '
        more = '' if self.count is None or self.count <= len(self.examples) else '; ...'
        examples = f' ({"; ".join(self.examples)}{more})' if self.examples else ''
        return printable(f'{self.key}: {number}{self.what}{examples}{"; " if self.remedy else ""}{self.remedy}')


@dataclass
class Tally:
    """Counts one sort of fault and keeps its first examples.

    Args:
        severity: As in `Finding`.
        what: As in `Finding`.
        remedy: As in `Finding`.
    """

    severity: Severity
    what: str
    remedy: str = ''
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: object) -> None:
        """Count one more.

        Args:
            example: Shown if it is among the first; a text is cut if it is long.
        """
        self.count += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(shown(example))

    def findings(self, key: str, *, total: int | None = None) -> list[Finding]:
        """Return the finding, in a list; an empty list where nothing was counted.

        Args:
            key: As in `Finding`.
            total: As in `Finding`.
        """
        if not self.count:
            return []
        return [
            Finding(
                severity=self.severity,
                key=key,
                what=self.what,
                count=self.count,
                total=total,
                examples=tuple(self.examples),
                remedy=self.remedy,
            )
        ]


def tallied(
    key: str, severity: Severity, what: str, examples: Iterable[object], *, total: int | None = None, remedy: str = ''
) -> list[Finding]:
    """Return one finding about all examples, in a list; an empty list where there is none.

    Args:
        key: As in `Finding`.
        severity: As in `Finding`.
        what: As in `Finding`.
        examples: All of them; the first are shown.
        total: As in `Finding`.
        remedy: As in `Finding`.
    """
    tally = Tally(severity, what, remedy)
    for example in examples:
        tally.add(example)
    return tally.findings(key, total=total)


def shown(value: Any) -> str:
    """Return a value in one line of bounded length.

    Args:
        value: Anything; a text is shown without quotes.
    """
    text = printable(value)
    return text if len(text) <= _LONGEST_EXAMPLE else f'{text[:_LONGEST_EXAMPLE]}...'


def printable(value: Any) -> str:
    """Return a value in one line without control characters, which may come from a file.

    Args:
        value: Anything.
    """
    return ''.join(letter if letter.isprintable() else '?' for letter in one_line(value))
