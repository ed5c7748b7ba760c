"""Files that try to run code when they are loaded."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, settings

EXAMPLES = settings(
    max_examples=int(os.environ.get('HYPOTHESIS_EXAMPLES', '100')),
    deadline=None,
    # The examples of a test may share its folder and its captured output, because each looks only at what it added.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Payload:
    """Asks the unpickler to call something: by default to make a file."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


def payloads(trace: Path) -> dict[str, Payload]:
    """Return objects that make the file `trace` when they are unpickled without restrictions."""
    return {
        'system': Payload(os.system, f'touch {trace}'),
        'open': Payload(open, str(trace), 'w'),
        'eval': Payload(eval, f'open({str(trace)!r}, "w")'),
        'getattr': Payload(getattr, Payload(open, str(trace), 'w'), 'name'),
        'nested-load': Payload(pickle.loads, pickle.dumps(Payload(open, str(trace), 'w'))),
        'numpy-load': Payload(np.lib.format.open_memmap, str(trace), 'w+', np.float32, (4,)),
        'torch-load': Payload(torch.save, 1, str(trace)),
    }


def _zip_torch(path: Path, evil: Any) -> None:
    torch.save({'state_dict': {'a': torch.ones(1)}, 'meta': evil}, path)


def _zip_torch_inside(path: Path, evil: Any) -> None:
    torch.save({'state_dict': {'a': torch.ones(1), 'b': evil}}, path)


def _legacy_torch(path: Path, evil: Any) -> None:
    content = {'state_dict': {'a': torch.ones(1)}, 'meta': evil}
    torch.save(content, path, _use_new_zipfile_serialization=False)


def _bare_pickle(path: Path, evil: Any) -> None:
    path.write_bytes(pickle.dumps({'model': {'a': np.ones(1, np.float32)}, '__author__': evil}))


def _pickled_object_array(path: Path, evil: Any) -> None:
    values = np.array([evil, 1], dtype=object)
    path.write_bytes(pickle.dumps({'model': {'a': values}}, protocol=2))


def _object_array(path: Path, evil: Any) -> None:
    with path.open('wb') as stream:
        np.savez(stream, a=np.ones(1, np.float32), b=np.array([evil], dtype=object), allow_pickle=True)


HOSTILE: Mapping[str, Callable[[Path, Any], None]] = MappingProxyType(
    {
        'zip.pth': _zip_torch,
        'zip-inside.pth': _zip_torch_inside,
        'legacy.pth': _legacy_torch,
        'legacy.pt': _legacy_torch,
        'detectron2.pkl': _bare_pickle,
        'objects.pkl': _pickled_object_array,
        'renamed.pth': _bare_pickle,
        'renamed.safetensors': _bare_pickle,
        'objects.npz': _object_array,
    }
)
"""Writers of files with a payload, by the file's name."""


def files_in(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its content."""
    return {str(path): path.read_bytes() for path in folder.rglob('*') if path.is_file()}
