"""Where `--resume` without a path continues: the newest whole checkpoint of a work_dir."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from resnest_mm.errors import UserError
from resnest_mm.training.checks.checkpoints import is_remote
from resnest_mm.training.work_dir import last_checkpoint_name
from resnest_mm.weights.io.damage import find_damage


@dataclass(frozen=True)
class NewestCheckpoint:
    """Where a training continues.

    Args:
        checkpoint: The checkpoint, or the URL of a remote one; None where there is none.
        damaged: Newer checkpoints that are damaged.
        notes: What the user should know, a line each.
    """

    checkpoint: str | None
    damaged: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def apply_newest_checkpoint(cfg: Config) -> tuple[Config, NewestCheckpoint]:
    """Return a copy that resumes from the newest whole checkpoint, where it resumes and names no checkpoint.

    Args:
        cfg: Parsed config with its work_dir, after `apply_resume`.

    Raises:
        UserError: As `find_newest`.
    """
    changed = copy.deepcopy(cfg)
    if not cfg.get('resume') or cfg.get('load_from'):
        return changed, NewestCheckpoint(None)
    hook = (cfg.get('default_hooks') or {}).get('checkpoint')
    out_dir = hook.get('out_dir') if isinstance(hook, dict) else None
    newest = find_newest(cfg.work_dir, out_dir=out_dir)
    if newest.checkpoint is not None:
        changed.load_from = newest.checkpoint
    elif (Path(cfg.work_dir) / 'last_checkpoint').exists():
        changed.resume = False  # mmengine would resume from whatever this file names
    return changed, newest


def find_newest(work_dir: str | Path, *, out_dir: str | Path | None = None) -> NewestCheckpoint:
    """Return the newest whole training checkpoint of a work_dir, by the time and iteration written in it.

    Usually it is the one that the file `last_checkpoint` names. It is another one where that file is empty or damaged,
    or names a checkpoint that is damaged or older, for example because the training was killed in between. A
    `last_checkpoint` whose folder has been moved or copied counts for the checkpoint of that name in the work_dir.

    Args:
        work_dir: Folder of the training.
        out_dir: `out_dir` of mmengine's CheckpointHook; checkpoints are in a folder of the work_dir's name below it.

    Raises:
        UserError: `last_checkpoint` names a checkpoint that does not exist any more, and there is no other one.
    """
    folder = Path(work_dir)
    noted = last_checkpoint_name(folder)
    if is_remote(noted):
        return NewestCheckpoint(noted)
    places = [folder]
    if out_dir and not is_remote(str(out_dir)):
        places.append(Path(out_dir) / folder.absolute().name)
    files = [file for place in places for file in sorted(place.glob('*.pt*')) if file.suffix in ('.pth', '.pt')]
    if noted and Path(noted).is_file() and Path(noted).name not in {file.name for file in files}:
        files.append(Path(noted))
    files = [file for file in files if not file.name.startswith('best_')]
    found, damaged = _newest_whole(files)
    for file in files:
        if file.name == Path(noted).name and file not in damaged and _age(file) is None:
            return NewestCheckpoint(str(file))  # whole, but it cannot be loaded; `check_checkpoint` says why
    notes = [f'--resume: {file} is damaged ({why}) and becomes {aside(file).name}' for file, why in damaged.items()]
    if found is not None:
        if damaged or Path(noted).name != found.name:
            notes.append(f'--resume: {found} is the newest whole checkpoint; training continues from it')
        return NewestCheckpoint(str(found), tuple(damaged), tuple(notes))
    if noted and not damaged:
        raise UserError(
            f'--resume: {folder / "last_checkpoint"} names {noted}, which does not exist, and {folder} has '
            'no other training checkpoint; bring it back, name another one with --resume PATH, or leave --resume out'
        )
    return NewestCheckpoint(None, tuple(damaged), tuple(notes))


def _newest_whole(files: Sequence[Path]) -> tuple[Path | None, dict[Path, str]]:
    """Return the newest whole training checkpoint, and what is wrong with those that cannot be read or are newer."""
    damaged: dict[Path, str] = {}
    ages: list[tuple[tuple[str, int], Path]] = []
    for file in files:
        age = _age(file)
        if age is not None:
            ages.append((age, file))
        elif damage := _damage(file):
            damaged[file] = damage
    for _, file in sorted(ages, reverse=True):
        damage = _damage(file)
        if damage is None:
            return file, damaged
        damaged[file] = damage
    return None, damaged


def _damage(file: Path) -> str | None:
    try:
        return find_damage(file)
    except OSError as error:  # another process of a distributed training has renamed it meanwhile
        return error.strerror or str(error)


def set_aside(files: Sequence[Path]) -> None:
    """Rename damaged checkpoints, so that nothing takes them for whole ones; nothing is deleted.

    Args:
        files: `NewestCheckpoint.damaged`.
    """
    for file in files:
        os.rename(file, aside(file))


def aside(file: Path) -> Path:
    """Return the name that a damaged checkpoint gets: `NAME.damaged`, with a number where that is taken."""
    number, target = 1, file.with_name(f'{file.name}.damaged')
    while target.exists():
        number += 1
        target = file.with_name(f'{file.name}.damaged-{number}')
    return target


def _age(file: Path) -> tuple[str, int] | None:
    """Return the time and iteration at which a training checkpoint was saved; None for any other file.

    The times of the files do not tell: those of a copy are in any order.
    """
    try:
        content: Any = torch.load(file, map_location='cpu', weights_only=True, mmap=True)
        meta = content['meta']
        if isinstance(content['state_dict'], dict) and 'message_hub' in content and isinstance(meta['epoch'], int):
            return str(meta.get('time', '')), int(meta['iter'])
    except Exception:  # on a damaged file, torch raises anything
        pass
    return None
