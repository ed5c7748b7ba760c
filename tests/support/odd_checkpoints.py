"""Files and names that stand where a checkpoint should, each of which every tool refuses in one line."""

from __future__ import annotations

import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from tests.support import crafted_pickles as crafted

Write = Callable[[Path], object]


def _torch(content: object, **options: Any) -> Write:
    return lambda path: torch.save(content, path, **options)


def _cut(content: object, *, keep: float, **options: Any) -> Write:
    def write(path: Path) -> None:
        torch.save(content, path, **options)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * keep)])

    return write


def _flipped(path: Path) -> None:
    values = torch.arange(1000.0)
    torch.save({'state_dict': {'conv.weight': values}}, path)
    content = bytearray(path.read_bytes())
    content[content.index(values.numpy().tobytes()) + 2000] ^= 1
    path.write_bytes(content)


def _script(path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(path))


def _npz(path: Path) -> None:
    with path.open('wb') as stream:
        np.savez(stream, a=np.ones(3, np.float32))


def _npz_of_objects(path: Path) -> None:
    with path.open('wb') as stream:
        np.savez(stream, a=np.array([{}], dtype=object))


def _quantized(path: Path) -> None:
    values = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    torch.save({'state_dict': {'conv.weight': values}}, path)


def _safetensors_of(header: bytes, content: bytes = b'') -> Write:
    return lambda path: path.write_bytes(len(header).to_bytes(8, 'little') + header + content)


def _bytes(content: bytes) -> Write:
    return lambda path: path.write_bytes(content)


def _zip_of(**parts: bytes) -> Write:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, 'w') as archive:
            for name, content in parts.items():
                archive.writestr(name.replace('__', '/'), content)

    return write


def _twice(path: Path) -> None:
    with zipfile.ZipFile(path, 'w') as archive:
        for _ in range(2):
            archive.writestr('a/data.pkl', b'\x80\x02}.')


def _claims(path: Path) -> None:
    torch.save({'a': torch.ones(10)}, path)
    content = bytearray(path.read_bytes())
    place = content.index(b'PK\x01\x02', content.index(b'PK\x01\x02') + 4)
    content[place + 20 : place + 28] = 2 * (2**32 - 2).to_bytes(4, 'little')
    path.write_bytes(content)


def _tar(path: Path) -> None:
    with tarfile.open(path, 'w') as archive:
        archive.addfile(tarfile.TarInfo('storages'))


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


WEIGHTS = {'conv.weight': torch.ones(2, 1, 1, 1), 'conv.bias': torch.ones(2)}
LARGE = crafted.tensor(elements=4, shape=(10**12,), strides=(1,))

_HUGE_ARRAY = b'\x93NUMPY\x01\x00\x46\x00' + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }\n"

ODD: Mapping[str, Write] = MappingProxyType(
    {
        'missing': lambda path: None,
        'folder': lambda path: path.mkdir(),
        'fifo': os.mkfifo,
        'device': lambda path: path.symlink_to('/dev/zero'),
        'loop': _loop,
        'dangling': lambda path: path.symlink_to('nowhere'),
        'empty': lambda path: path.touch(),
        'text': _bytes(b'hello'),
        'page': _bytes(b'<html>404</html>'),
        'json': _bytes(b'{"error": "not found"}'),
        'lfs-pointer': _bytes(b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n'),
        'zeros': _bytes(bytes(4096)),
        'script': _script,
        'export': _zip_of(archive_format=b'pt2', version=b'1', models__model_json=b'{}'),
        'npz': _npz,
        'npz-of-objects': _npz_of_objects,
        'npz-huge': _zip_of(**{'a.npy': _HUGE_ARRAY}),
        'safetensors-bad': _safetensors_of(b'{"a": 1}'),
        'safetensors-huge': _safetensors_of(
            b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
        ),
        'safetensors-header': _bytes((2**60).to_bytes(8, 'little') + b'{}'),
        'cut-early': _cut({'state_dict': WEIGHTS}, keep=0.2),
        'cut-late': _cut({'state_dict': WEIGHTS}, keep=0.95),
        'legacy-cut-early': _cut(WEIGHTS, keep=0.3, _use_new_zipfile_serialization=False),
        'legacy-cut-late': _cut(WEIGHTS, keep=0.99, _use_new_zipfile_serialization=False),
        'flipped': _flipped,
        'tensor': _torch(torch.ones(3)),
        'number': _torch(3),
        'none': _torch(None),
        'list': _torch([torch.ones(3)]),
        'tuple': _torch((WEIGHTS, 3)),
        'empty-dict': _torch({}),
        'empty-state': _torch({'state_dict': {}}),
        'dict-of-dicts': _torch({'a': {'b': {'c': torch.ones(1)}}}),
        'state-of-dicts': _torch({'state_dict': {'conv': WEIGHTS}, 'meta': {}}),
        'state-is-a-list': _torch({'state_dict': [torch.ones(1)], 'meta': []}),
        'state-of-numbers': _torch({'state_dict': {'conv.weight': 3}}),
        'numbers-as-names': _torch({'state_dict': {0: torch.ones(1)}}),
        'module': _torch(nn.Linear(2, 2)),
        'module-in-a-dict': _torch({'model': nn.Linear(2, 2)}),
        'sparse': _torch({'state_dict': {'conv.weight': torch.eye(3).to_sparse()}}),
        'quantized': _quantized,
        'meta-tensor': _torch({'state_dict': {'conv.weight': torch.ones(3, device='meta')}}),
        'expanded': _torch({'state_dict': {'conv.weight': torch.ones(1).expand(10**12)}}),
        'beyond-storage': lambda path: crafted.write_zip(path, crafted.entry('x', LARGE)),
        'protocol-4': _torch(WEIGHTS, pickle_protocol=4),
        'detectron2': lambda path: path.write_bytes(pickle.dumps({'model': {'a': np.ones(3)}, 'iteration': 3})),
        'pickled-text': lambda path: path.write_bytes(pickle.dumps('text')),
        'pickled-code': lambda path: path.write_bytes(pickle.dumps(os.getcwd)),
        'tar': _tar,
        'zip-of-text': _zip_of(a=b'text'),
        'zip-empty': _zip_of(),
        'zip-of-pickles': _zip_of(a__data_pkl=b'', **{'a/data.pkl': b'\x80\x02}.', 'b/data.pkl': b'\x80\x02}.'}),
        'twice': _twice,
        'claims': _claims,
        'shared-lists': lambda path: crafted.write_zip(path, crafted.entry('meta', crafted.shared_lists(60))),
    }
)
"""Writers of files, by what is odd about them."""

NAMES = ('a' * 300 + '.pth', 'new\nline.pth', 'bell\x07\x1b[31m.pth', 'no\udcffutf.pth', '-dash.pth', '~nobody/a.pth')
"""Names of files that do not exist, with what no name should have."""
