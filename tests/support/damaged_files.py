"""Checkpoint files with a damage or with a pickle that no `torch.save` writes, drawn at random."""

from __future__ import annotations

import io
import pickle
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from tests.support import crafted_pickles as crafted

CRAFTED: Final = 'crafted'
WITH_CHECKSUMS: Final = ('torch', 'npz', 'npz-packed', CRAFTED)
"""Kinds of files in which each changed value is noticed, and those that are whole as they are."""


def original() -> dict[str, Tensor]:
    """Return the tensors in all files before the damage: the layers of a small network."""
    generator = torch.Generator().manual_seed(0)
    return {
        'conv.weight': torch.randn(8, 4, 3, 3, generator=generator) / 6,
        'conv.bias': torch.randn(8, generator=generator) / 6,
        'bn.weight': torch.rand(8, generator=generator) + 0.5,
        'bn.running_mean': torch.randn(8, generator=generator),
        'bn.running_var': torch.rand(8, generator=generator) + 0.5,
        'bn.num_batches_tracked': torch.tensor(1000),
    }


def _torch(stream: io.BytesIO, *, legacy: bool) -> None:
    content = {'state_dict': original(), 'meta': {'epoch': 3, 'cfg': 'model = dict()'}}
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)


def _arrays() -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    return {name: value.numpy() for name, value in original().items()}


WHOLE_FILES: Mapping[str, Callable[[io.BytesIO], object]] = MappingProxyType(
    {
        'torch': lambda stream: _torch(stream, legacy=False),
        'legacy': lambda stream: _torch(stream, legacy=True),
        'npz': lambda stream: np.savez(stream, **_arrays()),
        'npz-packed': lambda stream: np.savez_compressed(stream, **_arrays()),
        'pickle': lambda stream: stream.write(pickle.dumps({'model': _arrays(), 'iteration': 3}, protocol=2)),
        'safetensors': lambda stream: stream.write(save(original())),
    }
)
"""Writers of a whole file of each kind."""


def write_damaged(path: Path, kind: str, seed: int) -> str:
    """Write a file with one or two damages, and return what they are.

    Args:
        path: The file.
        kind: A key of `WHOLE_FILES`, or `CRAFTED`.
        seed: Each draws another damage.
    """
    draw = random.Random(f'{kind} {seed}')
    if kind == CRAFTED:
        parts = {'a/data/1': bytes(draw.choice((0, 4, 16)))}
        crafted.write_zip(path, crafted.entry(draw.choice(('x', 'meta', 'x.weight')), _value(draw, 3)), parts=parts)
        return 'pickle'
    stream = io.BytesIO()
    WHOLE_FILES[kind](stream)
    content = bytearray(stream.getvalue())
    names = []
    for _ in range(draw.choice((1, 1, 2))):
        name = draw.choice(list(_DAMAGES))
        content = _DAMAGES[name](content, draw) or content
        names.append(name)
    path.write_bytes(content)
    return ' and '.join(names)


def _span(content: bytearray, draw: random.Random) -> tuple[int, int]:
    start = draw.randrange(max(1, len(content)))
    return start, min(len(content), start + draw.choice((1, 4, 16, 64, 512)))


def _flip(content: bytearray, draw: random.Random) -> bytearray:
    for _ in range(draw.choice((1, 1, 1, 3, 20))):
        if content:
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return content


def _insert(content: bytearray, draw: random.Random) -> bytearray:
    start = draw.randrange(len(content) + 1)
    return content[:start] + draw.randbytes(draw.choice((1, 4, 64))) + content[start:]


def _exchange(content: bytearray, draw: random.Random) -> bytearray:
    (a, b), (c, d) = sorted((_span(content, draw), _span(content, draw)))
    c, d = max(b, c), max(b, d)
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def _zero(content: bytearray, draw: random.Random) -> bytearray:
    start, end = _span(content, draw)
    content[start:end] = bytes(end - start)
    return content


def _drop(content: bytearray, draw: random.Random) -> bytearray:
    start, end = _span(content, draw)
    del content[start:end]
    return content


def _header(content: bytearray, draw: random.Random) -> bytearray:
    """Change a number in a header of an archive, or in the beginning of another file."""
    marks = [place for place in range(len(content) - 4) if content[place : place + 2] == b'PK'] or [0]
    place = draw.choice(marks) + draw.randrange(4, 46)
    if place < len(content):
        content[place] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
    return content


_DAMAGES: Mapping[str, Callable[[bytearray, random.Random], bytearray]] = MappingProxyType(
    {
        'bits': _flip,
        'cut': lambda content, draw: content[: draw.randrange(len(content) + 1)],
        'cut before the end': lambda content, draw: content[: -draw.randrange(1, 40)],
        'inserted': _insert,
        'exchanged': _exchange,
        'zeros': _zero,
        'dropped': _drop,
        'header': _header,
    }
)


def _value(draw: random.Random, depth: int) -> bytes:
    """Return the opcodes of something that may stand in a checkpoint, or nearly."""
    leaves = (_number, _array, _scalar, _tensor, _call, _opcodes)
    if depth and draw.random() < 0.4:
        inner = [_value(draw, depth - 1) for _ in range(draw.randrange(1, 4))]
        if draw.random() < 0.5:
            return crafted.group(*inner)
        return pickle.EMPTY_LIST + pickle.MARK + b''.join(inner) + pickle.APPENDS
    return draw.choice(leaves)(draw)


def _number(draw: random.Random) -> bytes:
    sizes = (0, 1, -1, 4, 7, 512, 2**31, 2**62, -(2**63), 2**63, 2**64 + 1, 10**12)
    return draw.choice((crafted.whole(draw.choice(sizes)), pickle.NONE, crafted.text('text'), pickle.NEWTRUE))


def _dtype(draw: random.Random) -> bytes:
    code = draw.choice(
        ('f8', 'f4', 'i8', 'b1', 'U1', 'S1', 'U9', 'U0', 'S4096', 'O8', 'V8', 'M8', 'c16', 'f3', 'i99', '')
    )
    fields = crafted.group(crafted.text('a'))
    state = crafted.group(
        crafted.whole(draw.choice((2, 3, 4))),
        crafted.text(draw.choice('<>|=!')),
        draw.choice((pickle.NONE, crafted.group(crafted.dtype('f8'), crafted.group(crafted.whole(4))))),
        draw.choice((pickle.NONE, fields)),
        draw.choice((pickle.NONE, pickle.EMPTY_DICT)),
        crafted.whole(draw.choice((-1, 0, 4, 8, 4096, 2**31 - 1, -4096))),
        crafted.whole(draw.choice((-1, 0, 8))),
        crafted.whole(draw.choice((0, 8, 63, 255))),
    )
    usual = crafted.dtype(code, order=draw.choice('<<<>|'))
    return draw.choice((usual, usual, crafted.dtype(code, state=state), _number(draw)))


def _bytes(draw: random.Random) -> bytes:
    raw = crafted.latin(draw.randbytes(draw.choice((0, 1, 4, 8, 36, 64))))
    return draw.choice((raw, raw, raw, crafted.text('abcd'), pickle.EMPTY_LIST, _number(draw)))


def _core(draw: random.Random) -> str:
    return draw.choice(('numpy.core', 'numpy._core'))


def _array(draw: random.Random) -> bytes:
    shape = crafted.group(
        *(_number(draw) if draw.random() < 0.3 else crafted.whole(1) for _ in range(draw.randrange(4)))
    )
    kind = draw.choice((None, None, crafted.name('numpy', 'dtype'), pickle.NONE, crafted.name('torch', 'Tensor')))
    return crafted.array(_dtype(draw), shape, _bytes(draw), core=_core(draw), first=kind, fortran=draw.random() < 0.3)


def _scalar(draw: random.Random) -> bytes:
    return crafted.call(crafted.name(f'{_core(draw)}.multiarray', 'scalar'), _dtype(draw), _bytes(draw))


def _tensor(draw: random.Random) -> bytes:
    sizes = (0, 1, 2, 4, 5, 1000, -1, 10**12, 2**62)
    dimensions = draw.randrange(3)
    return crafted.tensor(
        key=draw.choice(('0', '1', '2', '../data', '')),
        elements=draw.choice((1, 4, 4, 4, 5, 1000, -1, 2**62)),
        offset=draw.choice((0, 0, 1, 4, -1, 2**62)),
        shape=tuple(draw.choice(sizes) for _ in range(dimensions)),
        strides=tuple(draw.choice(sizes) for _ in range(dimensions)),
    )


def _call(draw: random.Random) -> bytes:
    module, name = draw.choice(_CALLED)
    arguments = [draw.choice((_number, _dtype, _bytes))(draw) for _ in range(draw.randrange(4))]
    made = crafted.call(crafted.name(module, name), *arguments)
    return made + (crafted.group(*arguments) + pickle.BUILD if draw.random() < 0.3 else b'')


_CALLED: Final = (
    ('torch', 'Tensor'),
    ('torch', 'FloatTensor'),
    ('torch', 'FloatStorage'),
    ('torch', 'Size'),
    ('torch', 'device'),
    ('torch.storage', 'UntypedStorage'),
    ('torch.nn.parameter', 'Parameter'),
    ('torch._utils', '_rebuild_tensor_v2'),
    ('torch._utils', '_rebuild_parameter'),
    ('torch._utils', '_rebuild_sparse_tensor'),
    ('torch._tensor', '_rebuild_from_type_v2'),
    ('collections', 'OrderedDict'),
    ('collections', 'Counter'),
    ('builtins', 'bytearray'),
    ('builtins', 'bytes'),
    ('builtins', 'getattr'),
    ('builtins', 'set'),
    ('numpy', 'ndarray'),
    ('numpy', 'dtype'),
    ('mmengine.logging.history_buffer', 'HistoryBuffer'),
    ('resnest_mm.weights.io.numpy_parts', 'PickledArray'),
    ('resnest_mm.weights.io.numpy_parts', 'PickledType'),
    ('os', 'getcwd'),
)


def _opcodes(draw: random.Random) -> bytes:
    codes = (pickle.REDUCE, pickle.BUILD, pickle.NEWOBJ, pickle.APPEND, pickle.SETITEM, pickle.BINPERSID, pickle.TUPLE)
    start = draw.choice((pickle.EMPTY_DICT, pickle.EMPTY_LIST, pickle.EMPTY_TUPLE, pickle.NONE))
    return start + b''.join(draw.choice((*codes, _number(draw))) for _ in range(draw.randrange(6)))
