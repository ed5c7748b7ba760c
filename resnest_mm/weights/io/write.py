"""Writing tensors to a `.pth` or `.safetensors` file: completely or not at all; a file is replaced only by force."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import Tensor

from resnest_mm.atomic import replacing
from resnest_mm.weights.io.contents import FileError
from resnest_mm.weights.io.hashing import file_digest
from resnest_mm.weights.io.read import safetensors_module

ENDINGS: Final = ('.pth', '.pt', '.safetensors')
DTYPES: Final[Mapping[str, torch.dtype]] = MappingProxyType(
    {'float32': torch.float32, 'float16': torch.float16, 'bfloat16': torch.bfloat16}
)
_NO_META: Final[Mapping[str, object]] = MappingProxyType({})


def check_target(path: Path, *, force: bool = False) -> None:
    """Raise an error if a file cannot or should not be written; called before any work is done.

    Args:
        path: File to write.
        force: Whether it may replace a file.

    Raises:
        FileError: If its ending is none of `ENDINGS`, if its folder does not exist, or if it would replace a file
            without `force`.
    """
    if path.suffix not in ENDINGS:
        reason = f'the ending {path.suffix!r} is unknown; end the name in one of {", ".join(ENDINGS)}'
        raise FileError(reason, path=path)
    if path.suffix == '.safetensors':
        safetensors_module()
    if path.is_dir():
        raise FileError('it is a folder; name a file in it', path=path)
    if not path.parent.is_dir():
        raise FileError(f'there is no folder {path.parent}; make it first', path=path)
    if path.exists() and not force:
        raise FileError('it exists already; say --force to replace it, or choose another name', path=path)


def write_checkpoint(
    path: Path,
    tensors: Mapping[str, Tensor],
    *,
    entry: str | None = 'state_dict',
    meta: Mapping[str, object] = _NO_META,
    extras: Mapping[str, object] = _NO_META,
    force: bool = False,
) -> str:
    """Write tensors to a file, and return its SHA-256. Equal tensors and notes give equal `.pth` files.

    Args:
        path: File to write; its ending chooses the format.
        tensors: Tensors by name.
        entry: Entry of a `.pth` file that holds them. With None they are the whole file, without `meta` and `extras`.
        meta: Notes about them: plain values by name.
        extras: Other entries of a `.pth` file.
        force: Whether to replace a file.

    Raises:
        FileError: As for `check_target`, or if the system cannot write the file.
    """
    check_target(path, force=force)
    owned = {name: _own(value) for name, value in tensors.items()}
    content: dict[str, Any] = dict(owned) if entry is None else {'meta': dict(meta), **extras, entry: owned}
    try:
        with replacing(path) as temporary:
            if path.suffix == '.safetensors':
                notes = {name: str(value) for name, value in meta.items()}
                safetensors_module().save_file(owned, temporary, metadata=notes)
            else:
                # Given a path, torch writes its name into the archive, and the temporary name would change the hash.
                with temporary.open('wb') as stream:
                    torch.save(content, stream)
            digest = file_digest(temporary)
            check_target(path, force=force)
    except (OSError, RuntimeError) as error:
        raise FileError(f'it cannot be written: {error}', path=path) from error
    return digest


def cast(tensors: Mapping[str, Tensor], dtype: str) -> dict[str, Tensor]:
    """Return tensors with all floating-point ones in another precision; integers and booleans do not change.

    Args:
        tensors: Tensors by name.
        dtype: A key of `DTYPES`.

    Raises:
        FileError: If a finite number would become infinite.
    """
    target = DTYPES[dtype]
    result = {name: value.to(target) if value.is_floating_point() else value for name, value in tensors.items()}
    lost = [
        name
        for name, value in result.items()
        if value.is_floating_point() and not torch.equal(value.isfinite(), tensors[name].isfinite())
    ]
    if lost:
        raise FileError(f'{dtype} cannot hold the numbers of {len(lost)} tensors, e.g. {lost[0]}; choose bfloat16')
    return result


def _own(tensor: Tensor) -> Tensor:
    # A view would be written with the memory of its whole base, and safetensors refuses shared memory.
    return tensor.detach().clone(memory_format=torch.contiguous_format)
