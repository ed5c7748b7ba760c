"""The one error that a user of weights can meet."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A checkpoint that cannot be had, cannot be read or does not fit, with what to do about it."""
