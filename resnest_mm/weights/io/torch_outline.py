"""Reading the pickle in a file of `torch.save` without its tensors, to refuse it before torch reads it.

Torch's restricted unpickler runs no code, but it makes tensors and storages of any size without filling them: a file
made for it puts the memory of this process among the weights. Here everything that a file may name is a stand-in, each
storage must be in the file with all of its bytes, and each tensor must lie within its storage.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, ClassVar, Final

import torch

from resnest_mm.weights.io.numpy_parts import HISTORIES, PickledArray, PickledHistory, PickledType, arrays
from resnest_mm.weights.io.restricted import (
    RefusedError,
    RestrictedUnpickler,
    check_nesting,
    encode,
    ordered_dict,
    plain_key,
)

LEGACY_MAGIC: Final = b'\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'
"""Torch's magic number as a pickle: files from before torch 1.6 begin with two bytes for the protocol and this."""

_STORAGES: Final[Mapping[str, int]] = MappingProxyType(
    {
        **dict.fromkeys(('Byte', 'Char', 'Bool', 'Untyped', 'QInt8', 'QUInt8', 'QUInt4x2', 'QUInt2x4'), 1),
        **dict.fromkeys(('Half', 'BFloat16', 'Short'), 2),
        **dict.fromkeys(('Float', 'Int', 'QInt32'), 4),
        **dict.fromkeys(('Double', 'Long', 'ComplexFloat'), 8),
        'ComplexDouble': 16,
    }
)
"""Bytes of an element of a storage, by the beginning of the name of its class."""


@dataclass(frozen=True)
class TensorOutline:
    """What a file says about a tensor, in place of the tensor.

    Args:
        shape: Its shape.
    """

    shape: tuple[int, ...]


@dataclass(frozen=True)
class _StorageType:
    element_bytes: int


@dataclass(frozen=True)
class _Storage:
    key: str
    element_bytes: int
    elements: int


@dataclass(frozen=True)
class _Token:
    """Something that a file may name and hand over, but not call."""

    name: str


def outline(file: Path) -> object:
    """Return the content of a file of `torch.save` with a `TensorOutline` in place of each tensor.

    Args:
        file: A file of the kind `torch`, see `resnest_mm.weights.io.read.kind_of`.

    Raises:
        RefusedError: If it asks for something that could run code.
        Exception: Of any kind, if it is damaged, nested too deep, or made to read memory that is not its own.
    """
    with file.open('rb') as stream:
        if stream.read(2) == b'PK':
            content = _outline_zip(file)
        else:
            stream.seek(0)
            content = _outline_legacy(stream, file.stat().st_size)
    check_nesting(content)
    return content


def _outline_zip(file: Path) -> object:
    with zipfile.ZipFile(file) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        pickles = [name for name in sizes if name.endswith('/data.pkl') and name.count('/') == 1]
        if len(pickles) != 1:
            raise pickle.UnpicklingError(f'it has {len(pickles)} parts data.pkl instead of one')
        folder = pickles[0].partition('/')[0]
        if f'{folder}/constants.pkl' in sizes:
            raise RefusedError('it is a TorchScript program')
        unpickler = _OutlineUnpickler(io.BytesIO(archive.read(pickles[0])))
        content = unpickler.load()
    for storage in unpickler.storages.values():
        name = f'{folder}/data/{storage.key}'
        needed = storage.elements * storage.element_bytes
        if sizes.get(name) != needed:
            raise pickle.UnpicklingError(
                f'its part {name} has {sizes.get(name, 0)} bytes, but its tensors need {needed}'
            )
    return content


def _outline_legacy(stream: IO[bytes], size: int) -> object:
    for _ in range(3):  # the magic number, the version, and the byte order and sizes of the machine
        _OutlineUnpickler(stream).load()
    unpickler = _OutlineUnpickler(stream)
    content = unpickler.load()
    keys = _OutlineUnpickler(stream).load()
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(unpickler.storages):
        raise pickle.UnpicklingError('it does not hold the values of each of its tensors')
    for key in map(str, keys):
        storage = unpickler.storages[key]
        elements = int.from_bytes(stream.read(8), 'little')
        if elements != storage.elements:
            raise pickle.UnpicklingError(f'it holds {elements} values where its tensors need {storage.elements}')
        if stream.seek(elements * storage.element_bytes, io.SEEK_CUR) > size:
            raise pickle.UnpicklingError('it was cut short')
    return content


_CODES: Final = frozenset(
    code[0]
    for code in (
        *(pickle.PROTO, pickle.STOP, pickle.MARK, pickle.GLOBAL, pickle.REDUCE, pickle.NEWOBJ, pickle.BUILD),
        *(pickle.BINPERSID, pickle.APPEND, pickle.APPENDS, pickle.SETITEM, pickle.SETITEMS),
        *(pickle.EMPTY_TUPLE, pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.EMPTY_SET),
        *(pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
        *(pickle.BINGET, pickle.LONG_BINGET, pickle.BINPUT, pickle.LONG_BINPUT),
        *(pickle.NONE, pickle.NEWFALSE, pickle.NEWTRUE, pickle.BINFLOAT, pickle.LONG1),
        *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.BINUNICODE, pickle.SHORT_BINSTRING),
    )
)
"""What torch's restricted unpickler reads: everything that `torch.save` writes."""


class _OutlineUnpickler(RestrictedUnpickler):
    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(
            stream,
            names=_NAMES,
            buildable=(PickledType, PickledArray, PickledHistory),
            creatable=(PickledHistory,),
        )
        self.storages: dict[str, _Storage] = {}

    def _unknown(self) -> None:
        raise pickle.UnpicklingError('it is not a pickle of torch.save, or was saved with another pickle_protocol')

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        **dict.fromkeys(range(256), _unknown),
        **{code: read for code, read in RestrictedUnpickler.dispatch.items() if code in _CODES},
    }

    def find_class(self, module: str, name: str) -> Any:
        # as Python 2 called it
        module = 'builtins' if module == '__builtin__' else module
        if module in ('torch', 'torch.cuda', 'torch.storage') and name.endswith('Storage'):
            beginning = name.removeprefix('_').removesuffix('Storage')
            if beginning in _STORAGES:
                return _StorageType(_STORAGES[beginning])
        if module == 'torch':
            value = vars(torch).get(name)
            if isinstance(value, torch.dtype | torch.qscheme):
                return value
        return super().find_class(module, name)

    def persistent_load(self, saved: Any) -> _Storage:
        """Return the outline of a storage that lies in another part of the file."""
        if type(saved) is not tuple or len(saved) not in (5, 6) or saved[0] != 'storage':
            raise RefusedError('it holds a class with its source code')
        _, kind, key, _, elements, *view = saved
        if not isinstance(kind, _StorageType) or not _is_size(elements) or not isinstance(key, str | int):
            raise pickle.UnpicklingError('it holds a storage that torch did not write')
        storage = _Storage(str(key), kind.element_bytes, elements)
        known = self.storages.setdefault(storage.key, storage)
        # One storage may be named with several types, if tensors share its bytes.
        if known.elements * known.element_bytes != elements * kind.element_bytes:
            raise pickle.UnpicklingError(f'it says in two ways how large its storage {storage.key:.20} is')
        if not view or view[0] is None:
            return storage
        view_key, offset, size = view[0]
        if not _is_size(offset) or not _is_size(size) or offset + size > elements:
            raise pickle.UnpicklingError('it holds a part of a storage that is larger than the storage')
        return _Storage(str(view_key), kind.element_bytes, size)


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: object) -> TensorOutline:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError('it holds a tensor without a storage')
    return _within(storage.elements, offset, shape, strides)


def _tensor_of_bytes(storage: Any, offset: Any, shape: Any, strides: Any, *others: Any) -> TensorOutline:
    dtype = others[2] if len(others) > 2 else None
    if not isinstance(storage, _Storage) or not isinstance(dtype, torch.dtype):
        raise pickle.UnpicklingError('it holds a tensor without a storage or a dtype')
    return _within(storage.elements * storage.element_bytes // dtype.itemsize, offset, shape, strides)


def _within(elements: int, offset: Any, shape: Any, strides: Any) -> TensorOutline:
    sizes = shape if isinstance(shape, tuple | list) else (-1,)
    steps = strides if isinstance(strides, tuple | list) else (-1,)
    if len(sizes) != len(steps) or not all(map(_is_size, (offset, *sizes, *steps))):
        raise pickle.UnpicklingError('it holds a tensor with a shape that no tensor has')
    last = offset + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    if math.prod(sizes) and last >= elements:
        raise pickle.UnpicklingError('it holds a tensor that is larger than its storage')
    return TensorOutline(tuple(sizes))


def _without_values(*arguments: object) -> TensorOutline:
    """Stand for a tensor of a kind that `contents.as_tensor` refuses by name: sparse, quantized, or on no device."""
    return TensorOutline(())


def _parameter(tensor: object, *_: object) -> object:
    return tensor


def _subclass(function: Any, kind: Any, arguments: Any, *_: object) -> object:
    if function not in (_tensor, _tensor_of_bytes) or not isinstance(kind, _Token) or type(arguments) is not tuple:
        raise RefusedError('it holds a tensor of a class of its own')
    return function(*arguments)


def _size(sizes: Any = ()) -> tuple[Any, ...]:
    return tuple(sizes) if isinstance(sizes, tuple | list) else ()


def _device(*_: object) -> _Token:
    return _Token('device')


def _counter(counts: Any = MappingProxyType({})) -> dict[Any, Any]:
    return dict(counts) if isinstance(counts, dict) else {}


def _set(values: Sequence[Any] = ()) -> set[Any]:
    return set(map(plain_key, values))


def _complex(real: Any, imaginary: Any) -> complex:
    return complex(float(real), float(imaginary))


_NAMES: Final[Mapping[str, object]] = MappingProxyType(
    {
        **arrays(PickledType),
        **HISTORIES,
        'collections.OrderedDict': ordered_dict,
        'collections.Counter': _counter,  # the milestones of a schedule
        '_codecs.encode': encode,
        'builtins.set': _set,
        'builtins.complex': _complex,
        'torch.Size': _size,
        'torch.device': _device,
        'torch.Tensor': _Token('torch.Tensor'),
        'torch.nn.parameter.Parameter': _Token('torch.nn.Parameter'),
        'torch.serialization._get_layout': _device,
        'torch._utils._rebuild_tensor': _tensor,
        'torch._utils._rebuild_tensor_v2': _tensor,
        'torch._utils._rebuild_tensor_v3': _tensor_of_bytes,
        'torch._utils._rebuild_parameter': _parameter,
        'torch._utils._rebuild_parameter_with_state': _parameter,
        'torch._utils._rebuild_sparse_tensor': _without_values,
        'torch._utils._rebuild_qtensor': _tensor,
        'torch._utils._rebuild_meta_tensor_no_storage': _without_values,
        'torch._tensor._rebuild_from_type_v2': _subclass,
    }
)
