"""Faults of many files, each kind with its number and a few examples."""

from __future__ import annotations

from resnest_mm.errors import first_names

_EXAMPLES = 3


class Faults:
    """A collection of faults by kind, in the order in which the kinds were found."""

    def __init__(self) -> None:
        self._examples: dict[str, list[str]] = {}

    def add(self, kind: str, example: object) -> None:
        """Note one more case.

        Args:
            kind: What is wrong and what is allowed, without the case itself.
            example: The case, such as a file name; shown with its quotes, so that it cannot break the line.
        """
        self._examples.setdefault(kind, []).append(ascii(example) if isinstance(example, str) else repr(example))

    def lines(self) -> list[str]:
        """Return a line for each kind with the number of its cases and the first of them."""
        return [
            f'{kind}: {len(examples)}, such as {first_names(map(_short, examples), most=_EXAMPLES)}'
            for kind, examples in self._examples.items()
        ]

    def __bool__(self) -> bool:
        return bool(self._examples)


def _short(text: str, most: int = 80) -> str:
    return text if len(text) <= most else f'{text[: most - 3]}...'
