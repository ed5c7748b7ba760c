"""The predictions of a trained detector on some images of a split, through mmdet: boxes, masks or panoptic segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from mmengine.config import Config
from tqdm import tqdm

from resnest_mm.annotations.annotated_image import AnnotatedImage
from resnest_mm.annotations.read import read_annotated, to_objects
from resnest_mm.drawing.datasets import build_dataset, evenly_spaced
from resnest_mm.report.predictions.comparison import Comparison
from resnest_mm.report.predictions.loading import load_batches
from resnest_mm.report.predictions.trained_model import load_trained

INSTANCE_OFFSET: Final = 1000
"""A pixel of mmdet's panoptic map is its class + 1000 x the number of its object, which is 0 for stuff."""


@dataclass(frozen=True, eq=False)
class DetectorPredictions:
    """Some images of a split with their ground truth and the predictions of a detector.

    Args:
        comparisons: The images.
        class_names: Names by label.
        total: Images in the split.
        panoptic: Whether the predictions are panoptic segments, which have no scores.
    """

    comparisons: tuple[Comparison, ...]
    class_names: tuple[str, ...]
    total: int
    panoptic: bool


def predict_detector(
    cfg: Config,
    checkpoint: Path,
    *,
    split: str,
    count: int,
    score_threshold: float,
    device: torch.device | str,
    partial: bool = False,
) -> DetectorPredictions:
    """Return the predictions on evenly spaced images of a split.

    Ignored annotations (crowds, VOC's difficult objects) are left out, as in the evaluation. The masks of both are
    there where the model has a mask branch.

    Args:
        cfg: A detector's config; it is not changed.
        checkpoint: Weights of this detector.
        split: `'val'` or `'test'`, whose dataloader names the data set.
        count: Images wanted, at least 1.
        score_threshold: Lowest score of a prediction that is kept, in 0..1. Panoptic segments are all kept.
        device: Where the detector runs.
        partial: Whether the checkpoint need not fill the model.

    Raises:
        UserError: The config has no such split, the split is empty, or an image of it cannot be loaded.
        CheckpointError: The checkpoint does not suit the model or the classes.
    """
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmdet')):
        model = load_trained(cfg, checkpoint, split=split, partial=partial).model.to(device).eval()
        dataset = build_dataset(cfg, split)
        names = tuple(dataset.metainfo['classes'])
        comparisons = []
        panoptic = False
        chosen = evenly_spaced(len(dataset), count)
        batches = load_batches(dataset, chosen, split=split, size=1, workers=0)
        # disable=None: a bar on a terminal only.
        for index, batch in zip(tqdm(chosen, desc='predictions', unit='image', disable=None), batches, strict=True):
            with torch.no_grad():
                (sample,) = model.test_step(batch)
            panoptic = 'pred_panoptic_seg' in sample
            has_masks = panoptic or 'masks' in sample.pred_instances
            truth = _truth(dataset.get_data_info(index), with_masks=has_masks, panoptic=panoptic)
            if panoptic:
                found = _panoptic_prediction(truth, sample.pred_panoptic_seg.sem_seg, void=len(names))
            else:
                kept = sample.pred_instances[sample.pred_instances.scores >= score_threshold]
                objects = to_objects(kept.bboxes, kept.labels, masks=kept.get('masks'), scores=kept.scores)
                found = AnnotatedImage(truth.image, truth.name, objects)
            comparisons.append(Comparison(truth, found))
    return DetectorPredictions(tuple(comparisons), names, len(dataset), panoptic)


def _truth(info: Mapping[str, Any], *, with_masks: bool, panoptic: bool) -> AnnotatedImage:
    """Return an image with its ground truth, loaded by mmdet's own transforms."""
    import mmcv
    from mmengine.registry import TRANSFORMS

    image = mmcv.imread(info['img_path'])
    results = {**info, 'instances': info.get('instances', []), 'img': image, 'ori_shape': image.shape[:2]}
    if panoptic and 'segments_info' in info:
        load: dict[str, Any] = {'type': 'mmdet.LoadPanopticAnnotations'}
    else:
        with_masks &= all('mask' in item for item in results['instances'])
        load = {'type': 'mmdet.LoadAnnotations', 'with_bbox': True, 'with_mask': with_masks}
    loaded = read_annotated(TRANSFORMS.build(load)(results))
    assert loaded is not None and loaded.objects is not None
    return replace(loaded, objects=loaded.objects.select(~loaded.objects.ignored))


def _panoptic_prediction(truth: AnnotatedImage, panoptic: torch.Tensor, *, void: int) -> AnnotatedImage:
    """Return an image with predicted segments: a label map, and the outlines and boxes of the objects."""
    import supervision as sv

    segments = panoptic[0].cpu().numpy()
    things = [int(number) for number in np.unique(segments) if number >= INSTANCE_OFFSET]
    masks = np.zeros((len(things), *segments.shape), dtype=np.bool_)
    for mask, number in zip(masks, things, strict=True):
        mask[:] = segments == number
    corners = sv.mask_to_xyxy(masks, coordinate_convention='exclusive')
    objects = to_objects(corners, np.array(things, dtype=np.int64) % INSTANCE_OFFSET, masks=masks)
    return AnnotatedImage(truth.image, truth.name, objects, segments % INSTANCE_OFFSET, ignore_index=void)
