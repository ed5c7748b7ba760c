"""The errors about configs, files and command lines, all of one base class, and how their messages are written."""

from __future__ import annotations

from collections.abc import Iterable


class ResNeStError(ValueError):
    """Something that was handed to this package is wrong; the message says what, where and what to do next."""


class UserError(ResNeStError):
    """A command line, a config or a file on disk is wrong."""


class CheckpointError(ResNeStError):
    """A checkpoint cannot be found, cannot be read or does not fit."""


class ConversionError(ResNeStError):
    """A checkpoint cannot be converted to another key layout."""


class RunError(ResNeStError):
    """A run stopped itself to lose or spoil nothing: a loss that is not finite, a full disk."""


def one_line(message: object) -> str:
    """Return a message without line breaks or runs of blanks.

    Args:
        message: Text, or an exception. A KeyError gives its key's text without the quotes `str` would put around it.
    """
    if isinstance(message, KeyError) and len(message.args) == 1:
        message = message.args[0]
    return ' '.join(str(message).split())


def printable(text: str) -> str:
    """Return a text with escapes in place of control characters, which a terminal would follow.

    Names of files, names in files and the answers of servers may have them.

    Args:
        text: The text.
    """
    return ''.join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def first_names(names: Iterable[object], *, most: int = 5) -> str:
    """Return the first few names in one line, such as `a, b and 3 more`; `nothing` where there is none.

    Args:
        names: All names, in the order in which to show them.
        most: How many to show, at least 1.
    """
    shown = [str(name) for name in names]
    more = f' and {len(shown) - most} more' if len(shown) > most else ''
    return f'{", ".join(shown[:most])}{more}' or 'nothing'
