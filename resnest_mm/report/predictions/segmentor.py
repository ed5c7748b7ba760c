"""The predictions of a trained segmentor on all images of a split, through mmseg: pixel counts, and some images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from tqdm import tqdm

from resnest_mm.annotations.annotated_image import IGNORE_INDEX, AnnotatedImage, Labels
from resnest_mm.drawing.datasets import build_dataset, dataset_palette, evenly_spaced
from resnest_mm.drawing.palette import ClassStyles
from resnest_mm.errors import UserError
from resnest_mm.report.class_scores import PixelCounts, count_pixels, score_classes
from resnest_mm.report.predictions.comparison import Comparison
from resnest_mm.report.predictions.loading import load_batches
from resnest_mm.report.predictions.trained_model import load_trained
from resnest_mm.training.config.walk import iter_dicts


@dataclass(frozen=True, eq=False)
class SegmentorPredictions:
    """The predictions of a segmentor on a split.

    Args:
        comparisons: The images to show.
        counts: Pixel counts of all images.
        classes: Names and colours of the classes.
        ignore_index: Label of the ignored pixels.
        total: Images in the split.
        iteration: Iterations that the weights were trained; None where the checkpoint does not say.
    """

    comparisons: tuple[Comparison, ...]
    counts: PixelCounts
    classes: ClassStyles
    ignore_index: int
    total: int
    iteration: int | None


def predict_segmentor(
    cfg: Config, checkpoint: Path, *, split: str, count: int, device: torch.device | str, partial: bool = False
) -> SegmentorPredictions:
    """Return the predictions on a split, counted over all images as in the validation.

    Only one batch and the images to show are in memory at a time.

    Args:
        cfg: A segmentor's config; it is not changed.
        checkpoint: Weights of this segmentor.
        split: `'val'` or `'test'`, whose dataloader names the data set.
        count: Evenly spaced images to show, at least 1.
        device: Where the segmentor runs.
        partial: Whether the checkpoint need not fill the model.

    Raises:
        UserError: The config has no such split, the split is empty or has no annotations, an image of it cannot be
            loaded, or a label is none of the data set's classes.
        CheckpointError: The checkpoint does not suit the model or the classes.
    """
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmseg')):
        trained = load_trained(cfg, checkpoint, split=split, partial=partial)
        dataset = build_dataset(cfg, split)
        total, names = len(dataset), tuple(dataset.metainfo['classes'])
        ignore_index = _ignore_index(cfg, split)
        shown = frozenset(evenly_spaced(total, count))
        comparisons = []
        zeros = np.zeros(len(names))
        counts = PixelCounts(zeros, zeros, zeros)
        samples = _run(trained.model.to(device).eval(), dataset, cfg, split)
        # disable=None: a bar on a terminal only.
        for index, predicted in enumerate(tqdm(samples, desc='predictions', total=total, unit='image', disable=None)):
            info = dataset.get_data_info(index)
            truth, prediction = _label_maps(predicted, info, split)
            try:
                found = count_pixels(truth, prediction, classes=len(names), ignore_index=ignore_index)
            except ValueError as error:
                raise UserError(f'{info["img_path"]}: {error}') from error
            counts += found
            if index in shown:
                accuracy = score_classes(found).overall
                comparisons.append(_compare(info, truth, prediction, ignore_index=ignore_index, accuracy=accuracy))
        classes = ClassStyles(names, dataset_palette(cfg, split, dataset.metainfo))
    return SegmentorPredictions(tuple(comparisons), counts, classes, ignore_index, total, trained.iteration)


def _run(model: Any, dataset: Any, cfg: Config, split: str) -> Iterator[Any]:
    """Yield the data sample of each image with its prediction, computed in batches of the config's size."""
    loader = cfg[f'{split}_dataloader']
    size, workers = loader.get('batch_size', 1), loader.get('num_workers', 0)
    for batch in load_batches(dataset, range(len(dataset)), split=split, size=size, workers=workers):
        with torch.no_grad():
            predicted = model.test_step(batch)
        yield from predicted


def _label_maps(sample: Any, info: Any, split: str) -> tuple[Labels, Labels]:
    """Return ground truth and prediction of an image, [H, W] each."""
    if 'gt_sem_seg' not in sample:
        raise UserError(
            f'{info["img_path"]} comes without annotations; let the {split} pipeline hold LoadAnnotations, '
            'or choose another --split'
        )
    truth, prediction = (item.data.squeeze(0).cpu().numpy() for item in (sample.gt_sem_seg, sample.pred_sem_seg))
    if truth.shape != prediction.shape:
        raise UserError(
            f'{info["img_path"]}: its annotation is {truth.shape} and the prediction {prediction.shape}; '
            f'in the {split} pipeline LoadAnnotations belongs after Resize'
        )
    return truth, prediction


def _compare(info: Any, truth: Labels, prediction: Labels, *, ignore_index: int, accuracy: float) -> Comparison:
    import mmcv

    image, name = mmcv.imread(info['img_path'], channel_order='rgb'), Path(info['img_path']).name
    # 16 bits are enough, and the label maps of all images to show are kept until they are drawn.
    annotated, predicted = (
        AnnotatedImage(image, name, None, labels.astype(np.int16), ignore_index) for labels in (truth, prediction)
    )
    return Comparison(annotated, predicted, accuracy)


def _ignore_index(cfg: Config, split: str) -> int:
    """Return the label that the evaluation leaves out."""
    nodes = (node for _, node in iter_dicts(cfg.get(f'{split}_evaluator'), 'evaluator'))
    return next((int(node['ignore_index']) for node in nodes if 'ignore_index' in node), IGNORE_INDEX)
