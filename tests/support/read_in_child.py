"""Reading many checkpoint files in a child process, which a bad one may end."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HANGS_AFTER = 600
"""Seconds after which a child that reads a batch of files is taken for one that never ends."""

_MEMORY = 12 * 2**30
"""Bytes that a child may ask for."""


def read_in_child(files: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Return what became of each file, by its name.

    The child reads one after the other and says so before each. If it ends early, the file it was at is its crash, and
    a new child reads the rest.

    Args:
        files: The files.
    """
    found: dict[str, dict[str, Any]] = {}
    rest = list(files)
    repository = str(Path(__file__).resolve().parents[2])
    env = {**os.environ, 'PYTHONPATH': repository, 'OMP_NUM_THREADS': '1'}
    while rest:
        command = [sys.executable, '-m', 'tests.support.read_in_child', *map(str, rest)]
        try:
            done = subprocess.run(command, env=env, cwd=repository, capture_output=True, text=True, timeout=HANGS_AFTER)
            out, end = done.stdout, f'ended the process with {done.returncode}'
        except subprocess.TimeoutExpired as error:
            out, end = (error.stdout or b'').decode(), 'never ended'
        lines = [json.loads(line) for line in out.splitlines() if line.startswith('{')]
        found |= {line['file']: line for line in lines if 'outcome' in line}
        rest = [file for file in rest if file.name not in found]
        if rest:
            found[rest[0].name] = {'outcome': end}
            del rest[0]
    return found


def _describe(file: Path) -> dict[str, Any]:
    import torch

    from resnest_mm.weights.io.contents import FileError
    from resnest_mm.weights.io.plausible import find_wrong_values
    from resnest_mm.weights.io.read import read_checkpoint
    from tests.support.damaged_files import original

    try:
        tensors = read_checkpoint(file).tensors
    except FileError as error:
        message = str(error)
        return {'outcome': 'refused' if '\n' not in message and file.name in message else 'badly refused'}
    except BaseException as error:
        return {'outcome': f'raised {type(error).__name__}'}
    wanted = {'w': torch.arange(4.0)} if file.name.startswith('crafted') else original()
    given = {name: tensors[name] for name in wanted if name in tensors} if 'w' in wanted else tensors
    same = given.keys() == wanted.keys() and all(
        given[name].dtype == value.dtype and given[name].shape == value.shape and torch.equal(given[name], value)
        for name, value in wanted.items()
    )
    if any(value.numel() * value.element_size() > file.stat().st_size for value in tensors.values()):
        return {'outcome': 'read more than the file holds'}
    if same:
        return {'outcome': 'read as written'}
    return {'outcome': 'refused by its values' if find_wrong_values(tensors) else 'read with other values'}


def _load_alone(file: Path) -> None:
    """Load a file as mmengine does, without a check before it; only a crash counts."""
    import torch

    try:
        torch.load(file, map_location='cpu', weights_only=True)
    except Exception:
        return


def main(names: Sequence[str]) -> None:
    """Read files and print a line of JSON for each.

    Args:
        names: The files.
    """
    from resnest_mm.weights.io.unpickle import allow_mmengine_checkpoints

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    warnings.simplefilter('ignore')
    allow_mmengine_checkpoints()
    for name in names:
        file = Path(name)
        outcome = _describe(file)
        if file.name.startswith('crafted'):
            _load_alone(file)
        print(json.dumps({'file': file.name, **outcome}), flush=True)


if __name__ == '__main__':
    main(sys.argv[1:])
