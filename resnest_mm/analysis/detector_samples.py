"""Images of a detection data set with their annotations and a trained detector's boxes, through mmdet."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from resnest_mm.analysis.samples import Boxes, Sample, evenly_spaced
from resnest_mm.engine.errors import UserError, one_line


def collect_samples(
    cfg: Config, checkpoint: Path, *, split: str, count: int, score_threshold: float, device: torch.device | str
) -> tuple[list[Sample], Sequence[str], int]:
    """Return evenly spaced samples of a split, the names of the classes, and the number of images in the split.

    Annotations marked as ignored (crowds, VOC's difficult ones) are left out, as the evaluation does not count them.

    Args:
        cfg: A detector's config; it is not changed.
        checkpoint: Weights of this detector.
        split: `'val'` or `'test'`, whose dataloader names the data set.
        count: Images wanted, at least 1.
        score_threshold: Lowest score of a prediction that is kept, in 0..1.
        device: Where the detector runs.

    Raises:
        UserError: The config has no such split, the split is empty, or the checkpoint does not fit the model.
    """
    from mmengine.dataset import pseudo_collate
    from mmengine.registry import DATASETS, DefaultScope

    loader = cfg.get(f'{split}_dataloader')
    if loader is None:
        raise UserError(f'the config has no {split}_dataloader; choose another --split, or add one')
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmdet')):
        model = load_detector(cfg, checkpoint).to(device).eval()
        dataset = DATASETS.build(copy.deepcopy(loader.dataset))
        if len(dataset) == 0:
            raise UserError(f'the {split} data set is empty; check its ann_file and data_root')
        samples = []
        for index in evenly_spaced(len(dataset), count):
            with torch.no_grad():
                (answer,) = model.test_step(pseudo_collate([dataset[index]]))
            samples.append(_sample(dataset.get_data_info(index), answer.pred_instances, score_threshold))
    return samples, dataset.metainfo['classes'], len(dataset)


def load_detector(cfg: Config, checkpoint: Path) -> Any:
    """Return the config's detector with the checkpoint's weights, all of them.

    Args:
        cfg: A detector's config; it is not changed. mmengine's default scope is the one it names.
        checkpoint: Weights as mmengine saves them.

    Raises:
        UserError: The file is no checkpoint, or its names or shapes are not the model's.
    """
    from mmengine.model import revert_sync_batchnorm
    from mmengine.registry import MODELS
    from mmengine.runner import CheckpointLoader

    try:
        content = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu')
    except Exception as error:
        raise UserError(f'{checkpoint} cannot be read as a checkpoint: {one_line(error)[:160]}') from error
    state = content.get('state_dict', content) if isinstance(content, Mapping) else {}
    model_cfg = copy.deepcopy(cfg.model)
    if cfg.get('data_preprocessor') is not None:
        model_cfg.setdefault('data_preprocessor', copy.deepcopy(cfg.data_preprocessor))
    model = revert_sync_batchnorm(MODELS.build(model_cfg))
    _check_fit(model.state_dict(), state, checkpoint)
    model.load_state_dict(state)
    return model


def _check_fit(wanted: Mapping[str, Any], given: Mapping[str, Any], checkpoint: Path) -> None:
    missing = sorted(set(wanted) - set(given))
    extra = sorted(set(given) - set(wanted))
    shapes = sorted(name for name in set(wanted) & set(given) if wanted[name].shape != given[name].shape)
    found = [
        f'{len(names)} {what} (first: {names[0]})'
        for what, names in (('missing', missing), ('unknown', extra), ('of another shape', shapes))
        if names
    ]
    if found:
        raise UserError(f"{checkpoint} does not fit the config's model: {', '.join(found)}; give its own config")


def _sample(info: Mapping[str, Any], predicted: Any, score_threshold: float) -> Sample:
    import mmcv

    counted = [item for item in info.get('instances', []) if not item.get('ignore_flag')]
    truth = Boxes(
        np.array([item['bbox'] for item in counted], dtype=np.float32).reshape(-1, 4),
        np.array([item['bbox_label'] for item in counted], dtype=np.int64),
    )
    kept = predicted[predicted.scores >= score_threshold].cpu()
    boxes = getattr(kept.bboxes, 'tensor', kept.bboxes)
    prediction = Boxes(
        boxes.numpy().astype(np.float32).reshape(-1, 4),
        kept.labels.numpy().astype(np.int64),
        kept.scores.numpy().astype(np.float32),
    )
    image = mmcv.imread(info['img_path'], channel_order='rgb')
    return Sample(image, Path(info['img_path']).name, truth, prediction)
