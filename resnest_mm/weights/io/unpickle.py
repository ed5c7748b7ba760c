"""Reading pickles of numpy arrays, such as detectron2's `.pkl`, without letting them call anything."""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import IO, Any, Final

import numpy as np


class RefusedError(pickle.UnpicklingError):
    """A pickle asks for something that could run code."""


class PickledType:
    """Stands for a numeric `numpy.dtype`: numpy's own also takes crafted fields and flags from a pickle."""

    __slots__ = ('code', 'order')

    def __init__(self, code: object) -> None:
        # Python 2 wrote its strings as bytes, which become text by the unpickler's encoding.
        if not isinstance(code, str) or not re.fullmatch(r'[biufc]\d{1,2}', code):
            raise RefusedError(f'it holds an array of dtype {code!r:.40}, which is no number')
        self.code = code
        self.order = '='

    def __setstate__(self, state: Any) -> None:
        self.order = {'<': '<', '>': '>', '=': '=', '|': '|'}[state[1]]

    def numpy(self) -> np.dtype[Any]:
        """Return the dtype."""
        return np.dtype(f'{self.order}{self.code}')


class PickledArray:
    """Stands for a `numpy.ndarray` while unpickling; `values` is the array."""

    __slots__ = ('values',)

    def __init__(self) -> None:
        self.values: np.ndarray[Any, Any] = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        shape, dtype, is_fortran, raw = state[-4:]
        self.values = _values(raw, dtype, shape, 'F' if is_fortran else 'C')


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that admits containers, numbers, text and numeric numpy arrays, which come as `PickledArray`.

    Raises:
        RefusedError: From `load`, on anything else, before it is called.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream, encoding='latin1')  # what Python 2 wrote its arrays' bytes as

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a global, without importing the module."""
        found = _ADMITTED.get(f'{module}.{name}')
        if found is None:
            raise RefusedError(f'it holds {module}.{name}')
        return found


def _values(raw: object, dtype: object, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    if not isinstance(dtype, PickledType):
        raise RefusedError('it holds an array whose dtype is none')
    if isinstance(raw, str):
        raw = raw.encode('latin1')
    if not isinstance(raw, bytes | bytearray):
        raise RefusedError('it holds an array of objects')
    values: np.ndarray[Any, Any] = np.frombuffer(raw, dtype.numpy()).reshape(shape, order=order)
    return values


def _dtype(code: object, *_: object) -> PickledType:
    return PickledType(code)


def _reconstruct(*_: object) -> PickledArray:
    return PickledArray()


def _frombuffer(raw: object, dtype: object, shape: Any, order: Any) -> PickledArray:
    array = PickledArray()
    array.values = _values(raw, dtype, shape, order)
    return array


def _scalar(dtype: object, raw: object) -> Any:
    return _values(raw, dtype, (1,), 'C')[0]


def _ndarray(*_: object) -> PickledArray:
    raise RefusedError('it calls numpy.ndarray')


def _encode(text: str, encoding: str) -> bytes:
    if encoding != 'latin1':
        raise RefusedError(f'it encodes text as {encoding!r:.40}')
    return text.encode('latin1')


def _bytes() -> bytes:
    return b''  # how protocol 2 writes the content of an empty array


def _admitted() -> dict[str, Callable[..., Any]]:
    admitted: dict[str, Callable[..., Any]] = {
        'collections.OrderedDict': OrderedDict,
        'numpy.dtype': _dtype,
        'numpy.ndarray': _ndarray,
        '_codecs.encode': _encode,
        '__builtin__.bytes': _bytes,
        'builtins.bytes': _bytes,
    }
    # numpy 2 renamed the module, and a file names the one that its writer had.
    for core in ('numpy.core', 'numpy._core'):
        admitted[f'{core}.multiarray._reconstruct'] = _reconstruct
        admitted[f'{core}.multiarray.scalar'] = _scalar
        admitted[f'{core}.numeric._frombuffer'] = _frombuffer
    return admitted


_ADMITTED: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(_admitted())
