"""Recording the progress bars that a module shows on a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from tqdm import tqdm


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def record_bars(monkeypatch: pytest.MonkeyPatch, module: str) -> list[tqdm[Any]]:
    """Make stderr a terminal and return a list that gets every bar of a module.

    Args:
        monkeypatch: Undoes it after the test.
        module: Full name of the module, which imports `tqdm` by name.
    """
    bars: list[tqdm[Any]] = []

    class Recorded(tqdm):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            bars.append(self)

    monkeypatch.setattr(f'{module}.tqdm', Recorded)
    monkeypatch.setattr('sys.stderr', Terminal())
    return bars
