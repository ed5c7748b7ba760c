"""The work_dir of a run: which folder it is, and the last checkpoint in it."""

from __future__ import annotations

import copy
from pathlib import Path

from mmengine.config import Config

from resnest_mm.paths import expand_home
from resnest_mm.training.checks.outputs import check_output_folder


def apply_work_dir(cfg: Config, work_dir: str | None, *, config_name: str) -> Config:
    """Return a copy with a work_dir: that of the command line, else that of the config, else `work_dirs/<config stem>`.

    Args:
        cfg: Parsed config.
        work_dir: Folder from the command line; None where it names none.
        config_name: The config's name or path from the command line.

    Raises:
        UserError: The path, or a folder above it, is a file or cannot be written to.
    """
    changed = copy.deepcopy(cfg)
    chosen = work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(config_name).stem)
    changed.work_dir = expand_home(chosen)
    check_output_folder(changed.work_dir, source='--work-dir')
    return changed


def name_for_test(cfg: Config) -> Config:
    """Return a copy named `NAME_test.py`, so that a test does not overwrite the config that a training wrote.

    mmengine writes the config of every run into the work_dir, under its file name.

    Args:
        cfg: Parsed config.
    """
    changed = copy.deepcopy(cfg)
    if cfg.filename is not None:
        file = Path(cfg.filename)
        # The name is a property without a setter, and the class turns assignments into keys of the config.
        object.__setattr__(changed, '_filename', str(file.with_name(f'{file.stem}_test.py')))
    return changed


def last_checkpoint(work_dir: str | Path) -> Path | None:
    """Return the path of the last checkpoint that a training saved, or None where it saved none.

    The checkpoint may be moved or deleted since.

    Args:
        work_dir: Folder of the training.
    """
    name = last_checkpoint_name(work_dir)
    return Path(name) if name else None


def last_checkpoint_name(work_dir: str | Path) -> str:
    """Return the path or URL of the last checkpoint that a training saved, an empty text where it saved none.

    mmengine writes it into the file `last_checkpoint` of the work_dir. A file that is empty or holds anything but text
    names none.

    Args:
        work_dir: Folder of the training.
    """
    note = Path(work_dir) / 'last_checkpoint'
    name = note.read_text(encoding='utf-8', errors='replace').strip() if note.is_file() else ''
    return name if name.isprintable() else ''
