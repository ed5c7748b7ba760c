"""An unpickler that calls nothing but what a table admits, and a limit on what its result may unfold to.

Written on the Python version of the standard library's unpickler: the C version keeps room for every number under
which a file remembers an object, so that a file of ten bytes could ask for 64 GB, and it sets attributes of whatever
the file names.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, ClassVar, Final

import numpy as np

DEEPEST: Final = 100
"""Levels of containers in containers that a checkpoint may have."""

MOST_VALUES: Final = 10_000_000
"""Values that a checkpoint may have, where a container counts in each place where it stands."""

_KEYS: Final = (str, bytes, int, float, bool, type(None))


class RefusedError(pickle.UnpicklingError):
    """A pickle asks for something that could run code; the message names it."""


class RestrictedUnpickler(pickle._Unpickler):
    """An unpickler for containers, numbers and text, and for the names in a table.

    Args:
        stream: The pickle.
        names: What stands for a name in the file, by `module.name`. Functions and classes among them can be called, so
            they must be harmless with any arguments.
        buildable: Types of objects that get a state from the file through their `__setstate__`.
        creatable: Classes that the file may make an object of, without arguments.
    """

    # attributes of the base class, whose types are not published
    stack: list[Any]
    append: Callable[[object], None]
    pop_mark: Callable[[], list[Any]]

    def __init__(
        self,
        stream: IO[bytes],
        *,
        names: Mapping[str, object],
        buildable: tuple[type, ...] = (),
        creatable: tuple[type, ...] = (),
    ) -> None:
        super().__init__(stream, encoding='latin1')  # the encoding in which Python 2 wrote the bytes of arrays
        self._names = names
        self._callable = {id(value) for value in names.values() if callable(value)}
        self._buildable = buildable
        self._creatable = creatable

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name, without importing its module."""
        try:
            return self._names[f'{module}.{name}']
        except KeyError:
            raise RefusedError(f'it holds {module}.{name}') from None

    def _reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack[-1]
        if id(function) not in self._callable or type(arguments) is not tuple:
            raise RefusedError(f'it calls a {type(function).__name__}')
        self.stack[-1] = function(*arguments)

    def _new(self) -> None:
        arguments = self.stack.pop()
        kind = self.stack.pop()
        if arguments != () or not any(kind is admitted for admitted in self._creatable):
            raise RefusedError('it makes an object of a class that no checkpoint has')
        self.append(kind.__new__(kind))

    def _build(self) -> None:
        state = self.stack.pop()
        owner = self.stack[-1]
        if type(owner) is OrderedDict:
            return  # an attribute that torch adds, `_metadata`, which nothing here reads
        if type(owner) not in self._buildable:
            raise RefusedError(f'it sets the state of a {type(owner).__name__}')
        owner.__setstate__(state)

    def _append(self) -> None:
        value = self.stack.pop()
        self._target(list).append(value)

    def _appends(self) -> None:
        values = self.pop_mark()
        self._target(list).extend(values)

    def _set_item(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self._target(dict, OrderedDict)[plain_key(key)] = value

    def _set_items(self) -> None:
        values = self.pop_mark()
        target = self._target(dict, OrderedDict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[plain_key(key)] = value

    def _add_items(self) -> None:
        values = self.pop_mark()
        self._target(set).update(map(plain_key, values))

    def _frozen_set(self) -> None:
        values = self.pop_mark()
        self.append(frozenset(map(plain_key, values)))

    def _target(self, *kinds: type) -> Any:
        target = self.stack[-1]
        if type(target) not in kinds:
            raise pickle.UnpicklingError(f'it puts values into a {type(target).__name__}')
        return target

    def _unused(self) -> None:
        raise RefusedError('it calls a class as pickles of Python 1 do')

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.REDUCE[0]: _reduce,
        pickle.NEWOBJ[0]: _new,
        pickle.BUILD[0]: _build,
        pickle.APPEND[0]: _append,
        pickle.APPENDS[0]: _appends,
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
        pickle.ADDITEMS[0]: _add_items,
        pickle.FROZENSET[0]: _frozen_set,
        **dict.fromkeys((code[0] for code in (pickle.NEWOBJ_EX, pickle.INST, pickle.OBJ)), _unused),
    }


def plain_key(key: object) -> Any:
    """Return a key of a dict or a value of a set.

    Args:
        key: The key; a tuple of plain keys is one, too.

    Raises:
        pickle.UnpicklingError: If it is something else. The hash of a tuple that holds one other tuple in two places,
            which does the same, and so on, would take for ever.
    """
    if isinstance(key, _KEYS) or (type(key) is tuple and all(isinstance(part, _KEYS) for part in key)):
        return key
    raise pickle.UnpicklingError(f'it has a {type(key).__name__} as a name')


def ordered_dict(pairs: Any = ()) -> OrderedDict[Any, Any]:
    """Return a dict of pairs, in place of `OrderedDict`, which would take any keys.

    Args:
        pairs: Keys and values.
    """
    return OrderedDict((plain_key(key), value) for key, value in pairs)


def encode(text: Any, encoding: Any) -> bytes:
    """Return the bytes that a pickle writes as text, in place of `codecs.encode`, which knows other codings.

    Args:
        text: Text in which each letter is a byte.
        encoding: `latin1`.

    Raises:
        RefusedError: On any other coding.
    """
    if encoding != 'latin1' or not isinstance(text, str):
        raise RefusedError(f'it encodes text as {encoding!r:.40}')
    return text.encode('latin1')


def check_nesting(content: object) -> None:
    """Refuse what is nested too deep or unfolds to too many values to look at each of them.

    A list that holds one other list in two places, which does the same, and so on, takes a few bytes of a file for each
    doubling.

    Args:
        content: The content of a file. Containers that it holds in several places are visited once.

    Raises:
        pickle.UnpicklingError: If it is nested deeper than `DEEPEST` levels, unfolds to more than `MOST_VALUES` values,
            or holds itself.
    """
    # of each container: its number of values and levels; None while those in it are counted
    counted: dict[int, tuple[int, int] | None] = {}
    stack = [content]
    while stack:
        container = stack[-1]
        if id(container) not in counted:
            counted[id(container)] = None
            inner = {id(value): value for value in _values_in(container) if _is_container(value)}
            if any(counted.get(key, ()) is None for key in inner):
                raise pickle.UnpicklingError('it holds a container that holds itself')
            stack += [value for key, value in inner.items() if key not in counted]
        else:
            stack.pop()
            if counted[id(container)] is None:
                values = list(_values_in(container))
                inside = [counted[id(value)] or (0, 0) for value in values if _is_container(value)]
                total = len(values) + sum(count for count, _ in inside)
                depth = 1 + max((levels for _, levels in inside), default=0)
                if total > MOST_VALUES:
                    raise pickle.UnpicklingError(f'its entries unfold to more than {MOST_VALUES} values')
                if depth > DEEPEST:
                    raise pickle.UnpicklingError(f'its entries are nested deeper than {DEEPEST} levels')
                counted[id(container)] = (total, depth)


def _is_container(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple | set | frozenset) and not isinstance(value, np.ndarray)


def _values_in(container: object) -> Iterable[object]:
    if isinstance(container, Mapping):
        return container.values()
    return container if isinstance(container, list | tuple | set | frozenset) else ()
