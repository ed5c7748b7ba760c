"""Options of `tools/test.py` that change its config: dumped predictions, drawn images, test-time augmentation."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from resnest_mm.errors import UserError
from resnest_mm.paths import expand_home
from resnest_mm.training.checks.outputs import check_output_file, check_output_folder
from resnest_mm.training.config.walk import iter_datasets


def apply_out(cfg: Config, out: str) -> Config:
    """Return a copy that also writes every prediction of the test into a pickle file.

    Detections are written by mmdet's DumpDetResults (masks as RLE), everything else by mmengine's DumpResults.

    Args:
        cfg: Parsed config.
        out: File that ends with `.pkl` or `.pickle`.

    Raises:
        UserError: A name without this ending, a file that cannot be written, or a config without test_evaluator.
    """
    if not out.endswith(('.pkl', '.pickle')):
        raise UserError(f'--out {out} must end with .pkl or .pickle')
    out = expand_home(out)
    check_output_file(out, source='--out')
    if cfg.get('test_evaluator') is None:
        raise UserError('--out: the config has no test_evaluator')
    changed = copy.deepcopy(cfg)
    dump = ConfigDict(type='DumpDetResults' if _is_mmdet(cfg) else 'DumpResults', out_file_path=out)
    evaluator = changed.test_evaluator
    if isinstance(evaluator, dict) and 'metrics' in evaluator:
        evaluator['metrics'] = [*_as_list(evaluator['metrics']), dump]
    else:
        changed.test_evaluator = [*_as_list(evaluator), dump]
    return changed


def apply_show_dir(cfg: Config, show_dir: str) -> Config:
    """Return a copy that draws its predictions into a folder.

    Args:
        cfg: Parsed config.
        show_dir: Folder. mmdet puts a relative one below `<work_dir>/<timestamp>`, mmseg below the current directory.

    Raises:
        UserError: A folder that cannot be written to, a config without visualization hook, or (mmseg) visualizer.
    """
    changed = copy.deepcopy(cfg)
    show_dir = expand_home(show_dir)
    if not _is_mmdet(cfg) or Path(show_dir).is_absolute():
        check_output_folder(show_dir, source='--show-dir')
    hook = (changed.get('default_hooks') or {}).get('visualization')
    if not isinstance(hook, dict):
        kind = 'DetVisualizationHook' if _is_mmdet(cfg) else 'SegVisualizationHook'
        raise UserError(f"--show-dir: the config has no default_hooks.visualization; add dict(type='{kind}')")
    hook['draw'] = True
    if _is_mmdet(cfg):
        hook['test_out_dir'] = show_dir
    elif isinstance(changed.get('visualizer'), dict):
        changed.visualizer['save_dir'] = show_dir
    else:
        raise UserError('--show-dir: the config has no visualizer')
    return changed


def apply_tta(cfg: Config) -> Config:
    """Return a copy that tests every image in several versions and merges the predictions.

    The config's `tta_model` and `tta_pipeline` say how. A detector without them is tested on each image and its mirror
    image by mmdet's DetTTAModel, with NMS at IoU 0.5 and at most 100 boxes an image.

    Raises:
        UserError: One of the two is missing and the config is not mmdet's.
    """
    changed = copy.deepcopy(cfg)
    for key in ('tta_model', 'tta_pipeline'):
        if cfg.get(key) is None and not _is_mmdet(cfg):
            raise UserError(f'--tta: the config has no {key}; add one or leave --tta out')
    datasets = [dataset for _, dataset in iter_datasets(changed.test_dataloader.dataset, 'test_dataloader.dataset')]
    tta_model = changed.get('tta_model') or {
        'type': 'DetTTAModel',
        'tta_cfg': {'nms': {'type': 'nms', 'iou_threshold': 0.5}, 'max_per_img': 100},
    }
    for dataset in datasets:
        dataset['pipeline'] = copy.deepcopy(changed.get('tta_pipeline')) or [*dataset['pipeline'][:-1], _flips()]
    changed.model = ConfigDict({**tta_model, 'module': changed.model})
    return changed


def _flips() -> ConfigDict:
    keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction')
    flips = [{'type': 'RandomFlip', 'prob': prob} for prob in (1.0, 0.0)]
    return ConfigDict(type='TestTimeAug', transforms=[flips, [{'type': 'PackDetInputs', 'meta_keys': keys}]])


def _is_mmdet(cfg: Config) -> bool:
    return bool(cfg.get('default_scope') == 'mmdet')


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
