"""Images of a detection data set with their annotations and a trained detector's boxes, through mmdet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from resnest_mm.report.samples import Boxes, Sample, evenly_spaced
from resnest_mm.report.trained import build_dataset, load_trained


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
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmdet')):
        model = load_trained(cfg, checkpoint).model.to(device).eval()
        dataset = build_dataset(cfg, split)
        samples = []
        for index in evenly_spaced(len(dataset), count):
            with torch.no_grad():
                (answer,) = model.test_step(pseudo_collate([dataset[index]]))
            samples.append(_sample(dataset.get_data_info(index), answer.pred_instances, score_threshold))
    return samples, dataset.metainfo['classes'], len(dataset)


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
