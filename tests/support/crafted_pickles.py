"""Files of torch whose pickle is written opcode by opcode, as no `torch.save` writes it."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch

_NO_PARTS: Mapping[str, bytes] = MappingProxyType({})


def name(module: str, attribute: str) -> bytes:
    """Return the opcodes of a name."""
    return pickle.GLOBAL + f'{module}\n{attribute}\n'.encode()


def whole(number: int) -> bytes:
    """Return the opcodes of a whole number."""
    if -(2**31) <= number < 2**31:
        return pickle.BININT + struct.pack('<i', number)
    digits = pickle.encode_long(number)
    return pickle.LONG1 + bytes([len(digits)]) + digits


def text(value: str) -> bytes:
    """Return the opcodes of a text."""
    content = value.encode('utf-8', 'surrogatepass')
    return pickle.BINUNICODE + struct.pack('<I', len(content)) + content


def group(*parts: bytes) -> bytes:
    """Return the opcodes of a tuple."""
    return pickle.MARK + b''.join(parts) + pickle.TUPLE


def call(function: bytes, *arguments: bytes) -> bytes:
    """Return the opcodes of a call."""
    return function + group(*arguments) + pickle.REDUCE


def array(
    dtype: bytes,
    shape: bytes,
    raw: bytes,
    *,
    core: str = 'numpy.core',
    first: bytes | None = None,
    fortran: bool = False,
) -> bytes:
    """Return the opcodes of an array of numpy, each part of which may be anything."""
    start = call(
        name(f'{core}.multiarray', '_reconstruct'),
        first or name('numpy', 'ndarray'),
        group(whole(0)),
        text('b'),
    )
    flag = pickle.NEWTRUE if fortran else pickle.NEWFALSE
    return start + group(whole(1), shape, dtype, flag, raw) + pickle.BUILD


def dtype(code: str, *, order: str = '<', size: int = -1, state: bytes | None = None) -> bytes:
    """Return the opcodes of a dtype of numpy with a size, or a whole state, of its own."""
    made = call(name('numpy', 'dtype'), text(code), pickle.NEWFALSE, pickle.NEWTRUE)
    usual = (whole(3), text(order), pickle.NONE, pickle.NONE, pickle.NONE, whole(size), whole(-1), whole(0))
    return made + (state if state is not None else group(*usual)) + pickle.BUILD


def latin(content: bytes) -> bytes:
    """Return the opcodes of bytes, as torch's protocol writes them."""
    return call(name('_codecs', 'encode'), text(content.decode('latin1')), text('latin1'))


def tensor(
    *, key: str = '0', elements: int, offset: int = 0, shape: tuple[int, ...], strides: tuple[int, ...]
) -> bytes:
    """Return the opcodes of a tensor of floats."""
    saved = group(text('storage'), name('torch', 'FloatStorage'), text(key), text('cpu'), whole(elements))
    hooks = call(name('collections', 'OrderedDict'))
    return call(
        name('torch._utils', '_rebuild_tensor_v2'),
        saved + pickle.BINPERSID,
        whole(offset),
        group(*map(whole, shape)),
        group(*map(whole, strides)),
        pickle.NEWFALSE,
        hooks,
    )


def entry(key: str, value: bytes) -> bytes:
    """Return the opcodes of a dict with a good tensor of four floats and one more entry."""
    good = tensor(elements=4, shape=(4,), strides=(1,))
    return pickle.EMPTY_DICT + pickle.MARK + text('w') + good + text(key) + value + pickle.SETITEMS


def write_zip(path: Path, opcodes: bytes, *, parts: Mapping[str, bytes] = _NO_PARTS) -> None:
    """Write a file of torch with a pickle and the four floats 0 to 3 as its storage 0.

    Args:
        path: The file.
        opcodes: The pickle without its beginning and its end.
        parts: More parts, or others in the place of these, by name.
    """
    content = {
        'a/data.pkl': pickle.PROTO + b'\x02' + opcodes + pickle.STOP,
        'a/byteorder': b'little',
        'a/data/0': torch.arange(4.0).numpy().tobytes(),
        'a/version': b'3\n',
        **parts,
    }
    with zipfile.ZipFile(path, 'w') as archive:
        for part, value in content.items():
            archive.writestr(part, value)


def shared_lists(levels: int) -> bytes:
    """Return the opcodes of a list that holds one list twice, which holds one list twice, and so on."""
    opcodes = pickle.EMPTY_LIST
    for _ in range(levels):
        opcodes = (
            pickle.EMPTY_LIST
            + pickle.MARK
            + opcodes
            + pickle.BINPUT
            + b'\x01'
            + pickle.BINGET
            + b'\x01'
            + pickle.APPENDS
        )
    return opcodes
