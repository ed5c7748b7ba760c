"""The type of the `write_run` fixture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

WriteRun = Callable[..., Path]
