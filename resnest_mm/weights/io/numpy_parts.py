"""Stand-ins for what numpy and mmengine call while their arrays and histories are unpickled.

numpy's own take flags, fields and sizes from the file, with which they read memory that is not theirs. These build an
array of numbers or text from a checked type, a checked shape and the bytes in the file, and nothing else.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
from mmengine.logging import HistoryBuffer

from resnest_mm.weights.io.restricted import RefusedError

# numpy 2 renamed the module, and a file names the one that its writer had.
CORES: Final = ('numpy.core', 'numpy._core')
_HISTORY_METHODS: Final = ('min', 'max', 'current', 'mean')
_NUMBERS: Final = r'[biufc]\d{1,2}'
_NUMBERS_OR_TEXT: Final = rf'{_NUMBERS}|[SU][1-9]\d{{0,3}}'
_ORDERS: Final = ('<', '>', '=', '|')
_MOST_DIMENSIONS: Final = 32


class PickledType:
    """Stand-in for a `numpy.dtype` of numbers or of text; its size comes from its code alone.

    Args:
        code: The code in the file, such as `f4` or `U7`.
        _: What else numpy's own takes, `align` and `copy`.
    """

    __slots__ = ('code', 'order')
    pattern: str = _NUMBERS_OR_TEXT

    def __init__(self, code: object, *_: object) -> None:
        # Python 2 wrote its strings as bytes, which become text by the unpickler's encoding.
        if not isinstance(code, str) or not re.fullmatch(self.pattern, code):
            raise RefusedError(f'it holds an array of dtype {code!r:.40}, which is not numeric')
        self.code = code
        self.order = '='

    def __setstate__(self, state: Any) -> None:
        if type(state) is not tuple or len(state) < 2 or state[1] not in _ORDERS:
            raise pickle.UnpicklingError('it holds a dtype that numpy did not write')
        self.order = state[1]

    def numpy(self) -> np.dtype[Any]:
        """Return the dtype."""
        return np.dtype(f'{self.order}{self.code}')


class PickledNumber(PickledType):
    """Stand-in for a `numpy.dtype` of numbers."""

    __slots__ = ()
    pattern = _NUMBERS


class PickledArray(np.ndarray[Any, Any]):
    """An array that gets its content from a file; when pickled, it is an ordinary array again."""

    def __new__(cls) -> PickledArray:
        """Return an empty array; a file cannot choose the size, because numpy would not fill it."""
        empty: PickledArray = super().__new__(cls, (0,), np.uint8)
        return empty

    def __setstate__(self, state: Any) -> None:
        """Take the shape, the dtype, the order and the bytes of an array, as numpy writes them."""
        if type(state) is not tuple or len(state) not in (4, 5):
            raise pickle.UnpicklingError('it holds an array that numpy did not write')
        shape, dtype, is_fortran, raw = state[-4:]
        order: Literal['C', 'F'] = 'F' if is_fortran else 'C'
        values = values_of(raw, dtype, shape, order)
        checked: Any = (1, values.shape, values.dtype, bool(is_fortran), values.tobytes(order))
        super().__setstate__(checked)

    def __reduce__(self) -> Any:
        return self.view(np.ndarray).__reduce__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.view(np.ndarray).__reduce_ex__(protocol)


class PickledHistory(HistoryBuffer):
    """Stand-in for mmengine's `HistoryBuffer`, which is a `HistoryBuffer` as soon as it has its values."""

    def __new__(cls) -> PickledHistory:
        """Return a history without values; numpy would unfold any nested lists that a file hands over here."""
        made: PickledHistory = super().__new__(cls)
        return made

    def __init__(self) -> None:
        raise RefusedError('it calls HistoryBuffer')

    def __setstate__(self, state: Any) -> None:
        """Take the values; the methods in the file are not used, because they would replace those of all histories."""
        values = [state.get(name) for name in ('_log_history', '_count_history')] if type(state) is dict else []
        length = state.get('max_length') if values else None
        arrays = [value for value in values if isinstance(value, PickledArray)]
        if len(arrays) != 2 or type(length) is not int or not 0 < length < 2**63:
            raise pickle.UnpicklingError('it holds a HistoryBuffer that mmengine did not write')
        log, count = (np.array(value) for value in arrays)
        if log.ndim != 1 or log.shape != count.shape or log.dtype.kind not in 'biuf' or count.dtype.kind not in 'biuf':
            raise pickle.UnpicklingError('it holds a HistoryBuffer that mmengine did not write')
        self.__class__ = HistoryBuffer
        self.__init__(log, count, length)  # type: ignore[misc]


def values_of(raw: object, dtype: object, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    """Return an array that looks at the bytes of a file.

    Args:
        raw: The bytes, or the text that Python 2's bytes became.
        dtype: A `PickledType`.
        shape: Sizes, each a whole number from 0 on.
        order: `C` or `F`.

    Raises:
        RefusedError: If something else stands there.
        pickle.UnpicklingError: If the bytes are not as many as the shape needs.
    """
    if not isinstance(dtype, PickledType):
        raise RefusedError('it holds an array without a dtype')
    if isinstance(raw, str):
        raw = raw.encode('latin1')
    if not isinstance(raw, bytes | bytearray):
        raise RefusedError('it holds an array of objects')
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (-1,)
    if len(sizes) > _MOST_DIMENSIONS or not all(type(size) is int and 0 <= size < 2**63 for size in sizes):
        raise pickle.UnpicklingError('it holds an array with a shape that no array has')
    if order not in ('C', 'F'):
        raise pickle.UnpicklingError('it holds an array in an order that no array has')
    wanted = dtype.numpy()
    if (needed := math.prod(sizes) * wanted.itemsize) != len(raw):
        raise pickle.UnpicklingError(f'it holds {len(raw)} bytes of an array that needs {needed}')
    values: np.ndarray[Any, Any] = np.frombuffer(raw, wanted).reshape(sizes, order=order)
    return values


def reconstruct(*_: object) -> PickledArray:
    """Return an array without values, in place of numpy's function of this name."""
    return PickledArray()


def frombuffer(raw: object, dtype: object, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    """Return an array of the bytes in the file, in place of numpy's function of this name."""
    values = values_of(raw, dtype, shape, order)
    return np.array(values, order=order)


def scalar(dtype: object, raw: object) -> Any:
    """Return one number or text, in place of numpy's function of this name."""
    return values_of(raw, dtype, (1,), 'C')[0]


def ndarray(*_: object) -> Any:
    """Refuse a call, in place of `numpy.ndarray`, which other functions take as an argument only."""
    raise RefusedError('it calls numpy.ndarray')


def no_bytes() -> bytes:
    """Return no bytes, in place of `bytes`, which an empty array pickles as a call.

    With an argument, `bytes` could take any amount of memory.
    """
    return b''


def history_method(owner: object, name: str) -> object:
    """Return a statistic of mmengine's `HistoryBuffer`, in place of `getattr`, with which it pickles them.

    Args:
        owner: The stand-in for `HistoryBuffer`.
        name: `min`, `max`, `current` or `mean`.

    Raises:
        RefusedError: On anything else.
    """
    if owner is not PickledHistory or not isinstance(name, str) or name not in _HISTORY_METHODS:
        raise RefusedError(f'a checkpoint may not take the attribute {name!r:.40} of {owner!r:.80}')
    return getattr(HistoryBuffer, name)


def arrays(dtype: type[PickledType]) -> Mapping[str, object]:
    """Return what stands for the names in the pickles of arrays and of numbers of numpy.

    Args:
        dtype: Stand-in for `numpy.dtype`.
    """
    names: dict[str, object] = {'numpy.dtype': dtype, 'numpy.ndarray': ndarray, 'builtins.bytes': no_bytes}
    for core in CORES:
        names[f'{core}.multiarray._reconstruct'] = reconstruct
        names[f'{core}.multiarray.scalar'] = scalar
    return MappingProxyType(names)


HISTORIES: Final[Mapping[str, object]] = MappingProxyType(
    {
        'mmengine.logging.history_buffer.HistoryBuffer': PickledHistory,
        'builtins.getattr': history_method,
    }
)
"""What stands for the names in the pickle of a `HistoryBuffer`, beside those of its arrays."""
