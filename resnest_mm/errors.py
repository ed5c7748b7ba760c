"""The errors that a user can meet, all of one base class."""

from __future__ import annotations


class ResNeStError(ValueError):
    """Something that was handed to this package is wrong; the message says what, where and what to do next."""


class UserError(ResNeStError):
    """A command line, a config or a file on disk is wrong."""


class CheckpointError(ResNeStError):
    """A checkpoint cannot be found, cannot be read or does not fit."""


class ConversionError(ResNeStError):
    """A checkpoint cannot be converted to another key layout."""


def one_line(message: object) -> str:
    """Return a message without line breaks or runs of blanks.

    Args:
        message: Text, or an exception. A KeyError gives its key's text without the quotes `str` would put around it.
    """
    if isinstance(message, KeyError) and len(message.args) == 1:
        message = message.args[0]
    return ' '.join(str(message).split())
