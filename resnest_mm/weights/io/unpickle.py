"""Unpickling without running code: numpy arrays, as in detectron2's `.pkl`, and the training checkpoints of mmengine.

Written by hand, because no library does it: `torch.load(weights_only=True)` reads only files that torch wrote, not
detectron2's pickles, and numpy has no restricted unpickler. Torch's own files are read by its own restricted
unpickler; this module adds to its list of allowed names what mmengine writes beside the weights.
"""

from __future__ import annotations

import contextlib
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Final

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

_DTYPE_CODES: Final = '?bBhHiIlLqQefdgFDGSU'
_HISTORY_METHODS: Final = ('min', 'max', 'current', 'mean')
# numpy 2 renamed the module, and a file names the one that its writer had.
_NUMPY_CORES: Final = ('numpy.core', 'numpy._core')


class RefusedError(pickle.UnpicklingError):
    """A pickle asks for something that could run code; the message names it."""


def allow_mmengine_checkpoints() -> None:
    """Let `torch.load(weights_only=True)` read the training checkpoints of mmengine.

    A training checkpoint holds loss histories (`HistoryBuffer`, numpy arrays) and scores (numpy scalars), which torch
    from 2.6 on refuses by default. They are allowed by name. A `HistoryBuffer` also pickles its own methods through
    `getattr`, and an empty array calls `bytes`: both are replaced by functions that do nothing else. All other globals
    stay refused, so a checkpoint still cannot run code. The permission holds for the whole process; a second call
    changes nothing.
    """
    if not hasattr(torch.serialization, 'add_safe_globals'):
        return
    reconstruct: Any = np.zeros(1).__reduce__()[0]
    scalar: Any = np.float64(0).__reduce__()[0]
    allowed: list[Any] = [HistoryBuffer, np.ndarray, np.dtype]
    allowed += [(_history_method, 'builtins.getattr'), (_bytes, 'builtins.bytes')]
    allowed += [type(np.dtype(code)) for code in _DTYPE_CODES]
    for core in _NUMPY_CORES:
        allowed += [(reconstruct, f'{core}.multiarray._reconstruct'), (scalar, f'{core}.multiarray.scalar')]
    torch.serialization.add_safe_globals(allowed)


def refused_globals(file: Path) -> list[str]:
    """Return the names in a checkpoint that torch will refuse, without unpickling it.

    Args:
        file: A file that exists. The list is empty for one that is no archive of torch, and where torch is older than
            2.6 and cannot tell.
    """
    scan = getattr(torch.serialization, 'get_unsafe_globals_in_checkpoint', None)
    if scan is None or not zipfile.is_zipfile(file):
        return []
    with contextlib.suppress(ValueError, RuntimeError):
        return sorted(scan(file))
    return []


class PickledType:
    """Stand-in for a numeric `numpy.dtype`, because numpy's own would take crafted fields and flags from a pickle."""

    __slots__ = ('code', 'order')

    def __init__(self, code: object) -> None:
        # Python 2 wrote its strings as bytes, which become text by the unpickler's encoding.
        if not isinstance(code, str) or not re.fullmatch(r'[biufc]\d{1,2}', code):
            raise RefusedError(f'it holds an array of dtype {code!r:.40}, which is not numeric')
        self.code = code
        self.order = '='

    def __setstate__(self, state: Any) -> None:
        self.order = {'<': '<', '>': '>', '=': '=', '|': '|'}[state[1]]

    def numpy(self) -> np.dtype[Any]:
        """Return the dtype."""
        return np.dtype(f'{self.order}{self.code}')


class PickledArray:
    """Stand-in for a `numpy.ndarray` during unpickling; `values` is the array."""

    __slots__ = ('values',)

    def __init__(self) -> None:
        self.values: np.ndarray[Any, Any] = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        shape, dtype, is_fortran, raw = state[-4:]
        self.values = _values(raw, dtype, shape, 'F' if is_fortran else 'C')


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler for containers, numbers, text and numeric numpy arrays, which it returns as `PickledArray`.

    Args:
        stream: The pickle.

    Raises:
        RefusedError: From `load`, before anything else is called.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream, encoding='latin1')  # the encoding in which Python 2 wrote the bytes of arrays

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name, without importing its module."""
        found = _ADMITTED.get(f'{module}.{name}')
        if found is None:
            raise RefusedError(f'it holds {module}.{name}')
        return found


def _values(raw: object, dtype: object, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    if not isinstance(dtype, PickledType):
        raise RefusedError('it holds an array without a dtype')
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
    # An empty array pickles its content as a call of bytes(). With an argument, bytes could take any amount of memory.
    return b''


def _history_method(owner: object, name: str) -> object:
    if owner is not HistoryBuffer or name not in _HISTORY_METHODS:
        raise RefusedError(f'a checkpoint may not take the attribute {name!r} of {owner!r}')
    return getattr(HistoryBuffer, name)


def _admitted() -> dict[str, Callable[..., Any]]:
    admitted: dict[str, Callable[..., Any]] = {
        'collections.OrderedDict': OrderedDict,
        'numpy.dtype': _dtype,
        'numpy.ndarray': _ndarray,
        '_codecs.encode': _encode,
        '__builtin__.bytes': _bytes,
        'builtins.bytes': _bytes,
    }
    for core in _NUMPY_CORES:
        admitted[f'{core}.multiarray._reconstruct'] = _reconstruct
        admitted[f'{core}.multiarray.scalar'] = _scalar
        admitted[f'{core}.numeric._frombuffer'] = _frombuffer
    return admitted


_ADMITTED: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(_admitted())
