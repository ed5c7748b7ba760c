"""A trained segmenter on all images of a data set, through mmseg: what it takes for what, and some images to show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from resnest_mm.drawing.palette import COLOURS, class_colour
from resnest_mm.errors import UserError
from resnest_mm.report.confusion import Counts, count_pairs, score
from resnest_mm.report.samples import MapSample, evenly_spaced
from resnest_mm.report.trained import build_dataset, load_trained
from resnest_mm.training.config.walk import iter_datasets, iter_dicts


@dataclass(frozen=True)
class SplitMaps:
    """What a segmenter answered on a split.

    Args:
        samples: The images to show.
        counts: How many pixels of each true class got each predicted class, over all images.
        class_names: Names by label.
        palette: RGB colours by label, 0 to 255.
        ignore_index: Label of the pixels that do not count.
        total: Images in the split.
        iteration: Iterations that the weights were trained; None where the checkpoint does not say.

    Shape:
        - counts: [true class, predicted class]
    """

    samples: tuple[MapSample, ...]
    counts: Counts
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    ignore_index: int
    total: int
    iteration: int | None


def collect_maps(cfg: Config, checkpoint: Path, *, split: str, count: int, device: torch.device | str) -> SplitMaps:
    """Return what a segmenter answers on a split, counted over all images as the validation does.

    Only one batch and the samples are in memory at a time.

    Args:
        cfg: A segmenter's config; it is not changed.
        checkpoint: Weights of this segmenter.
        split: `'val'` or `'test'`, whose dataloader names the data set.
        count: Evenly spaced samples wanted, at least 1.
        device: Where the segmenter runs.

    Raises:
        UserError: The config has no such split, the split is empty or has no annotations, a label is none of the data
            set's classes, or the checkpoint does not fit the model.
    """
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmseg')):
        trained = load_trained(cfg, checkpoint)
        dataset = build_dataset(cfg, split)
        names = tuple(dataset.metainfo['classes'])
        ignore_index = _ignore_index(cfg, split)
        wanted = frozenset(evenly_spaced(len(dataset), count))
        samples = []
        counts: Counts = np.zeros((len(names), len(names)), dtype=np.int64)
        for index, answer in enumerate(_answers(trained.model.to(device).eval(), dataset, cfg, split)):
            info = dataset.get_data_info(index)
            truth, prediction = _maps(answer, info, split)
            try:
                found = count_pairs(truth, prediction, classes=len(names), ignore_index=ignore_index)
            except ValueError as error:
                raise UserError(f'{info["img_path"]}: {error}') from error
            counts += found
            if index in wanted:
                samples.append(_sample(info, truth, prediction, accuracy=score(found).overall))
        palette = palette_of(cfg, split, dataset.metainfo)
    return SplitMaps(tuple(samples), counts, names, palette, ignore_index, len(dataset), trained.iteration)


def _answers(model: Any, dataset: Any, cfg: Config, split: str) -> Iterator[Any]:
    """Yield the answer to each image, in batches as large as the config's."""
    from mmengine.dataset import pseudo_collate
    from torch.utils.data import DataLoader

    loader = cfg[f'{split}_dataloader']
    batches = DataLoader(
        dataset,
        batch_size=loader.get('batch_size', 1),
        num_workers=loader.get('num_workers', 0),
        collate_fn=pseudo_collate,
    )
    for batch in batches:
        with torch.no_grad():
            answers = model.test_step(batch)
        yield from answers


def _maps(answer: Any, info: Any, split: str) -> tuple[Any, Any]:
    """Return truth and prediction of an image, [H, W] each."""
    if 'gt_sem_seg' not in answer:
        raise UserError(
            f'{info["img_path"]} comes without annotations; let the {split} pipeline hold LoadAnnotations, '
            'or choose another --split'
        )
    truth, prediction = (item.data.squeeze(0).cpu().numpy() for item in (answer.gt_sem_seg, answer.pred_sem_seg))
    if truth.shape != prediction.shape:
        raise UserError(
            f'{info["img_path"]}: its annotation is {truth.shape} and the prediction {prediction.shape}; '
            f'in the {split} pipeline LoadAnnotations belongs behind Resize'
        )
    return truth, prediction


def _sample(info: Any, truth: Any, prediction: Any, *, accuracy: float) -> MapSample:
    import mmcv

    image = mmcv.imread(info['img_path'], channel_order='rgb')
    return MapSample(image, Path(info['img_path']).name, truth.astype(np.int16), prediction.astype(np.int16), accuracy)


def _ignore_index(cfg: Config, split: str) -> int:
    """Return the label that the evaluation leaves out; 255 is the default of mmseg's IoUMetric."""
    nodes = (node for _, node in iter_dicts(cfg.get(f'{split}_evaluator'), 'evaluator'))
    return next((int(node['ignore_index']) for node in nodes if 'ignore_index' in node), 255)


def palette_of(cfg: Config, split: str, metainfo: Any) -> tuple[tuple[int, int, int], ...]:
    """Return the data set's colours; mmseg draws lots where it has none, which is left to it only for many classes."""
    classes, palette = len(metainfo['classes']), metainfo.get('palette')
    if palette and (_has_palette(cfg[f'{split}_dataloader'].dataset) or classes > len(COLOURS)):
        return tuple((int(red), int(green), int(blue)) for red, green, blue in palette)
    return tuple(class_colour(label) for label in range(classes))


def _has_palette(dataset: Any) -> bool:
    from mmengine.registry import DATASETS

    with DATASETS.switch_scope_and_registry(None) as registry:
        for _, node in iter_datasets(dataset, 'dataset'):
            kind = registry.get(node['type']) if isinstance(node['type'], str) else node['type']
            if (node.get('metainfo') or {}).get('palette') or kind.METAINFO.get('palette'):
                return True
    return False
