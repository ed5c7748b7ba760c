"""Moving a config to another data folder after mmengine has expanded its `data_root`."""

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
"""The parts of a config that name files of a data set."""


def move_data_root(cfg: Config, old: str, new: str) -> Config:
    """Return a copy of a config in which every data path below one folder lies below another.

    Args:
        cfg: Parsed config; left unchanged.
        old: Folder as the config spells it. `data/coco` does not match `data/coco_stuff`.
        new: Folder that takes its place.

    Raises:
        UserError: An empty folder, or no path of the config lies below `old`.
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
        raise UserError(f'data_root={new}: no data set of this config lies below its data_root {old!r}')
    moved.data_root = new
    return moved


def _moved(value: Any, old: str, new: str) -> Any:
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return type(value)(_moved(item, old, new) for item in value)
    if not isinstance(value, str) or not (value == old or value.startswith(f'{old}/')):
        return value
    rest = value[len(old) :]
    return new.rstrip('/') + rest if rest.strip('/') else new
