"""Checks before a run: the annotation files and image folders that data sets and evaluators name exist."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import join_path

from resnest_mm.errors import UserError
from resnest_mm.training.checks.checkpoints import is_remote
from resnest_mm.training.config.walk import iter_datasets, iter_dicts, type_name

_DEMO_ROOT = 'data/demo'
_FILE_KEYS = (
    'ann_file',
    'proposal_file',
    'label_file',
    'hierarchy_file',
    'meta_file',
    'image_level_ann_file',
    'split_file',
)


def check_data(cfg: Config, *, splits: Sequence[str]) -> None:
    """Refuse a config whose data sets or evaluators name files that do not exist, or need a package that is missing.

    Data sets inside wrappers (RepeatDataset, ConcatDataset, ClassBalancedDataset, ...) are checked as well. Paths are
    joined with `data_root` as mmengine's BaseDataset joins them. Remote paths are not checked.

    Args:
        cfg: Parsed config.
        splits: Which of `train`, `val` and `test` the run reads.

    Raises:
        UserError: The first missing path or package, with its dotted key.
    """
    for split in splits:
        loader = cfg.get(f'{split}_dataloader') or {}
        for key, dataset in iter_datasets(loader.get('dataset'), f'{split}_dataloader.dataset'):
            _check_dataset(cfg, key, dataset)
        for key, evaluator in iter_dicts(cfg.get(f'{split}_evaluator'), f'{split}_evaluator'):
            if type_name(evaluator) == 'CocoPanopticMetric':
                _check_panopticapi(key)
            if _is_local(evaluator):
                _check_path(cfg, f'{key}.ann_file', evaluator.get('ann_file'), kind='annotation file')
                _check_path(cfg, f'{key}.seg_prefix', evaluator.get('seg_prefix'), kind='image folder')


def _check_dataset(cfg: Config, key: str, dataset: Any) -> None:
    root = dataset.get('data_root') or ''
    if not _is_local(dataset) or is_remote(root):
        return
    if root:
        _check_path(cfg, f'{key}.data_root', root, kind='data root')
    for name in _FILE_KEYS:
        _check_path(cfg, f'{key}.{name}', _joined(root, dataset.get(name)), kind='annotation file')
    prefixes = dataset.get('data_prefix')
    for name, prefix in prefixes.items() if isinstance(prefixes, dict) else ():
        _check_path(cfg, f'{key}.data_prefix.{name}', _joined(root, prefix), kind='image folder')


def _check_panopticapi(key: str) -> None:
    try:
        import panopticapi  # noqa: F401
    except ImportError as error:
        raise UserError(
            f'{key} measures PQ, for which mmdet needs panopticapi ({error}); '
            'pip install --no-deps panopticapi-lite==0.2.0'
        ) from error


def _joined(root: str, path: Any) -> Any:
    if not isinstance(path, str) or not path:
        return None
    return path if os.path.isabs(path) or is_remote(path) or not root else join_path(root, path)


def _is_local(node: Any) -> bool:
    backend = node.get('backend_args')
    return not isinstance(backend, dict) or backend.get('backend', 'local') == 'local'


def _check_path(cfg: Config, key: str, path: Any, *, kind: str) -> None:
    if not isinstance(path, str) or not path or is_remote(path) or Path(path).exists():
        return
    raise UserError(f'{kind} {path} does not exist ({key}, looked in {Path.cwd()}); {_hint(cfg, key, path)}')


def _hint(cfg: Config, key: str, path: str) -> str:
    inside = os.path.normpath(path)
    if 'panoptic_stuff' in path:
        return 'make it from the panoptic maps of COCO with: python tools/make_stuff_maps.py (see --help)'
    if inside == _DEMO_ROOT or inside.startswith(f'{_DEMO_ROOT}/'):
        return f'make the demo data with: python tools/make_demo_data.py {_DEMO_ROOT}'
    if isinstance(cfg.get('data_root'), str):
        return 'if the data is elsewhere: --cfg-options data_root=/path/to/data'
    return f'if the data is elsewhere: --cfg-options {key}=/path/to/data'
