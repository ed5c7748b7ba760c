"""Moving the data sets of a config to another folder, after mmengine has put its `data_root` into all paths."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.config import Config

from resnest_mm.errors import UserError
from resnest_mm.training.config.walk import iter_dicts

DATA_SECTIONS = (
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'val_evaluator',
    'test_evaluator',
    'train_pipeline',
    'test_pipeline',
    'tta_pipeline',
)
"""Sections of a config that name files of data sets."""


def move_data_root(cfg: Config, old: str, new: str) -> Config:
    """Return a copy of a config whose data paths below one folder are moved below another.

    Args:
        cfg: Parsed config; left unchanged.
        old: Folder, in the spelling of the config. `data/coco` does not match `data/coco_stuff`.
        new: Folder that replaces it.

    Raises:
        UserError: An empty name, or no path of the config is below `old`.
    """
    if not old.strip('/') or not new:
        raise UserError(f'data_root={new!r} cannot replace {old!r}: neither may be empty')
    moved = copy.deepcopy(cfg)
    count = 0
    for section in DATA_SECTIONS:
        for _, node in iter_dicts(moved.get(section), section):
            for name, value in list(node.items()):
                fresh = _moved(value, old.rstrip('/'), new)
                if fresh != value:
                    node[name] = fresh
                    count += 1
    if not count:
        raise UserError(f'data_root={new}: no data set of this config is below its data_root {old!r}')
    moved.data_root = new
    return moved


def _moved(value: Any, old: str, new: str) -> Any:
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return type(value)(_moved(item, old, new) for item in value)
    if not isinstance(value, str) or not (value == old or value.startswith(f'{old}/')):
        return value
    rest = value[len(old) :]
    return new.rstrip('/') + rest if rest.strip('/') else new
