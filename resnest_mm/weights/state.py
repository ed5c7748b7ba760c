"""The tensors of what a config calls a checkpoint, and the backbone among those of a published file."""

from __future__ import annotations

import pickle
from collections.abc import Mapping

from mmengine.runner import CheckpointLoader
from torch import Tensor

from resnest_mm.errors import CheckpointError, ConversionError
from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.hub.resolve import is_elsewhere, resolve
from resnest_mm.weights.io.contents import find_tensors
from resnest_mm.weights.io.read import read_checkpoint
from resnest_mm.weights.records.record import Record


def read_state(
    checkpoint: str, *, prefix: str | None, map_location: str = 'cpu', trust: bool = False
) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name.

    Args:
        checkpoint: What `Pretrained` takes: a name, a path or a URL; also what else mmengine knows, such as `s3://`.
        prefix: Only keys with this prefix are returned, without it; None returns all.
        map_location: Device to load to.
        trust: Whether to build whatever objects the file asks for, which runs any code that its writer put in.

    Raises:
        CheckpointError: On a file that cannot be had or read, holds no tensors, or none with the prefix.
    """
    if is_elsewhere(checkpoint):
        state = _read_elsewhere(checkpoint)
    else:
        file = resolve(checkpoint)
        try:
            state = read_checkpoint(file, trust=trust).tensors
        except CheckpointError as error:
            reason = str(error).removeprefix(f'{file}: ').removeprefix(f'{file} ').removeprefix('cannot be read: ')
            advice = ' to tools/convert_checkpoint.py and load what it writes' if '--trust' in reason else ''
            raise CheckpointError(f'checkpoint {checkpoint!r} cannot be read: {reason}{advice}') from error
    if prefix is not None:
        dotted = prefix if prefix.endswith('.') else f'{prefix}.'
        chosen = {key[len(dotted) :]: value for key, value in state.items() if key.startswith(dotted)}
        if not chosen:
            raise CheckpointError(
                f'checkpoint {checkpoint!r} has no key with prefix={prefix!r}; its first keys are {sorted(state)[:3]}'
            )
        state = chosen
    return {key: value.to(map_location) for key, value in state.items()}


def backbone_of(state: Mapping[str, Tensor], record: Record, *, prefix: str | None = None) -> dict[str, Tensor]:
    """Return the backbone in a published file, under the names of this package.

    Args:
        state: All tensors of the file; not modified.
        record: The record of the file.
        prefix: Prefix of the backbone's keys; None takes the record's where the file has such keys.

    Raises:
        CheckpointError: Where the file is not in the layout that its record says.
    """
    if prefix is None:
        prefix = record.prefix if any(key.startswith(record.prefix) for key in state) else ''
    elif prefix and not prefix.endswith('.'):
        prefix = f'{prefix}.'
    if record.layout == 'mmdet':
        return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    try:
        return convert_backbone(state, source=record.layout, target='mmdet', prefix=prefix)
    except ConversionError as error:
        raise CheckpointError(f'{record.file_name} is not in the {record.layout} layout: {error}') from error


def _read_elsewhere(checkpoint: str) -> dict[str, Tensor]:
    try:
        content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    except (OSError, ImportError, RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CheckpointError(f'checkpoint {checkpoint!r} cannot be read: {reason}') from error
    try:
        return find_tensors(content).tensors
    except CheckpointError as error:
        raise CheckpointError(f'checkpoint {checkpoint!r} cannot be read: {error}') from error
