"""Helpful errors for unknown keywords of a constructor."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import ParamSpec

Params = ParamSpec('Params')


def explain_unknown_keywords(
    *, refused: Mapping[str, str]
) -> Callable[[Callable[Params, None]], Callable[Params, None]]:
    """Return a decorator that makes a constructor explain unknown keywords.

    Args:
        refused: Keywords of other implementations, each with the reason why it does not exist here and what to do
            instead.

    Raises:
        ValueError: The constructor is called with a keyword of `refused`.
        TypeError: It is called with any other unknown keyword; the message names the nearest known one.
    """

    def decorate(init: Callable[Params, None]) -> Callable[Params, None]:
        known = tuple(name for name in inspect.signature(init).parameters if name != 'self')

        @functools.wraps(init)
        def checked(*args: Params.args, **kwargs: Params.kwargs) -> None:
            for name in kwargs:
                if name not in known:
                    raise _unknown(name, type(args[0]).__name__, known=known, refused=refused)
            init(*args, **kwargs)

        return checked

    return decorate


def _unknown(name: str, owner: str, *, known: tuple[str, ...], refused: Mapping[str, str]) -> Exception:
    if name in refused:
        return ValueError(f'{owner} does not take {name!r}: {refused[name]}')
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    advice = f'did you mean {nearest[0]!r}?' if nearest else f'allowed are {", ".join(known)}'
    return TypeError(f'{owner} has no argument {name!r}; {advice}')
