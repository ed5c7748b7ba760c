"""Counts, images, colours and mistakes of a segmentor whose predictions are the grey levels of its images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from PIL import Image

from resnest_mm.drawing.palette import class_colour
from resnest_mm.errors import CheckpointError, UserError
from resnest_mm.report.class_scores import PixelCounts, score_classes
from resnest_mm.report.predictions.segmentor import SegmentorPredictions, predict_segmentor
from tests.support.progress_bars import record_bars

pytest.importorskip('mmseg', reason='runs the pipelines of mmseg')

HEIGHT, WIDTH, CLASSES = 6, 10, 3
STEP = 20  # grey levels between two classes
Maps = list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]


@MODELS.register_module(name='ReportTestSegmentor', force=True)
class KnownPredictions(BaseModel):
    """Predicts the classes that the grey levels of an image encode, in the original size, which is half the input."""

    def __init__(self, data_preprocessor: dict[str, Any] | None = None, outputs: int = 3) -> None:
        super().__init__(data_preprocessor)
        self.head = torch.nn.Linear(2, outputs)

    def forward(self, inputs: torch.Tensor, data_samples: list[Any], mode: str) -> list[Any]:
        assert mode == 'predict'
        assert not self.training
        assert not torch.is_grad_enabled()
        for image, sample in zip(inputs, data_samples, strict=True):
            height, width = sample.ori_shape
            assert image.shape[-2:] == (2 * height, 2 * width), 'the pipeline of the split ran'
            sample.pred_sem_seg = PixelData(data=(image[:1, ::2, ::2] / STEP).round().long())
        return data_samples


def write_maps(root: Path, *, seed: int = 0, count: int = 5) -> Maps:
    """Write images and annotations; return annotation, as stored, and expected prediction of each."""
    rng = np.random.default_rng(seed)
    maps: Maps = []
    for folder in ('images', 'labels'):
        (root / folder).mkdir(parents=True)
    for index in range(count):
        truth, answer = (rng.integers(0, CLASSES, (HEIGHT, WIDTH)).astype(np.uint8) for _ in range(2))
        truth[rng.random(truth.shape) < 0.2] = 255
        Image.fromarray(np.repeat((answer * STEP)[..., None], 3, axis=2)).save(root / 'images' / f'{index}.png')
        Image.fromarray(truth).save(root / 'labels' / f'{index}.png')
        maps.append((truth, answer))
    return maps


def pipeline(*, order: str = 'usual') -> list[dict[str, Any]]:
    load = {'type': 'LoadAnnotations'}
    resize = {'type': 'Resize', 'scale': (2 * WIDTH, 2 * HEIGHT), 'keep_ratio': True, 'interpolation': 'nearest'}
    between = {'usual': [resize, load], 'labels resized': [load, resize], 'no labels': [resize]}[order]
    return [{'type': 'LoadImageFromFile'}, *between, {'type': 'PackSegInputs'}]


def config(root: Path, *, order: str = 'usual', evaluator: dict[str, Any] | None = None, **dataset: Any) -> Config:
    loader = {
        'batch_size': 2,
        'dataset': {
            'type': 'BaseSegDataset',
            'data_root': str(root),
            'data_prefix': {'img_path': 'images', 'seg_map_path': 'labels'},
            'img_suffix': '.png',
            'metainfo': {'classes': ('ground', 'disc', 'bar')},
            'test_mode': True,
            'pipeline': pipeline(order=order),
            **dataset,
        },
    }
    return Config(
        {
            'default_scope': 'mmseg',
            'model': {
                'type': 'mmengine.ReportTestSegmentor',
                'data_preprocessor': {'type': 'mmseg.SegDataPreProcessor', 'mean': [0, 0, 0], 'std': [1, 1, 1]},
            },
            'val_dataloader': loader,
            'val_evaluator': evaluator or {'type': 'IoUMetric'},
        }
    )


def collect(cfg: Config, folder: Path, *, split: str = 'val', count: int = 2, outputs: int = 3) -> SegmentorPredictions:
    checkpoint = folder / 'iter_7.pth'
    torch.save({'state_dict': KnownPredictions(outputs=outputs).state_dict(), 'meta': {'iter': 7}}, checkpoint)
    before = cfg.pretty_text
    found = predict_segmentor(cfg, checkpoint, split=split, count=count, device='cpu')
    assert cfg.pretty_text == before, 'the config is not changed'
    return found


def check_counts(counts: PixelCounts, maps: Maps, *, ignore: int = 255) -> None:
    """Compare pixel counts with a loop over all pixels."""
    pairs = [
        (int(truth[row, column]), int(answer[row, column]))
        for truth, answer in maps
        for row in range(HEIGHT)
        for column in range(WIDTH)
        if truth[row, column] != ignore
    ]
    labels = range(CLASSES)
    assert counts.intersection.tolist() == [sum(pair == (label, label) for pair in pairs) for label in labels]
    assert counts.annotated.tolist() == [sum(true == label for true, _ in pairs) for label in labels]
    assert counts.predicted.tolist() == [sum(answer == label for _, answer in pairs) for label in labels]


def test_all_images_count_and_some_are_shown(tmp_path: Path) -> None:
    """Five images in batches of two: the last batch is smaller, and every image keeps its own annotation."""
    maps = write_maps(tmp_path)
    found = collect(config(tmp_path), tmp_path, count=3)
    check_counts(found.counts, maps)
    assert (found.total, found.iteration, found.classes.names) == (5, 7, ('ground', 'disc', 'bar'))
    assert [item.truth.name for item in found.comparisons] == ['0.png', '2.png', '4.png']
    for item, (truth, answer) in zip(found.comparisons, maps[::2], strict=True):
        np.testing.assert_array_equal(item.truth.label_map, truth)
        np.testing.assert_array_equal(item.prediction.label_map, answer)
        np.testing.assert_array_equal(item.truth.image, np.repeat((answer * STEP)[..., None], 3, axis=2))
        counted = [(t, a) for t, a in zip(truth.flat, answer.flat, strict=True) if t != 255]
        assert item.accuracy == pytest.approx(sum(t == a for t, a in counted) / len(counted))


def test_reduced_zero_label(tmp_path: Path) -> None:
    """Stored 0 does not count, stored 1 is class 0."""
    maps = write_maps(tmp_path)
    found = collect(config(tmp_path, reduce_zero_label=True), tmp_path)
    reduced: Maps = []
    for truth, answer in maps:
        changed = truth.copy()
        for place, value in np.ndenumerate(truth):
            changed[place] = 255 if value in (0, 255) else value - 1
        reduced.append((changed, answer))
    check_counts(found.counts, reduced)
    np.testing.assert_array_equal(found.comparisons[0].truth.label_map, reduced[0][0])


@pytest.mark.parametrize('nested', [False, True], ids=['metric', 'list'])
def test_the_evaluators_ignore_index_counts(tmp_path: Path, nested: bool) -> None:
    maps = write_maps(tmp_path)
    for index, (truth, _) in enumerate(maps):
        truth[truth == 255] = 1
        Image.fromarray(truth).save(tmp_path / 'labels' / f'{index}.png')
    metric = {'type': 'IoUMetric', 'ignore_index': 2}
    found = collect(config(tmp_path, evaluator={'metrics': [metric]} if nested else metric), tmp_path)
    assert found.ignore_index == 2
    check_counts(found.counts, maps, ignore=2)


def test_counts_are_those_of_the_hosts_metric(tmp_path: Path) -> None:
    """Same mIoU, mAcc and aAcc as mmseg's own evaluation of the same maps."""
    from mmseg.evaluation import IoUMetric

    maps = write_maps(tmp_path)
    scores = score_classes(collect(config(tmp_path), tmp_path).counts)
    metric = IoUMetric()
    metric.dataset_meta = {'classes': ('ground', 'disc', 'bar')}
    fields = ('pred_sem_seg', 'gt_sem_seg')
    for truth, answer in maps:
        data = (torch.from_numpy(labels.astype(np.int64))[None] for labels in (answer, truth))
        metric.process({}, [{name: {'data': labels} for name, labels in zip(fields, data, strict=True)}])
    logged = metric.compute_metrics(metric.results)
    for name, value in (('mIoU', scores.mean_iou), ('mAcc', scores.mean_accuracy), ('aAcc', scores.overall)):
        assert 100 * value == pytest.approx(float(logged[name]), abs=0.0051)


def test_the_data_sets_own_palette(tmp_path: Path) -> None:
    write_maps(tmp_path)
    palette = [[1, 2, 3], [40, 50, 60], [255, 0, 7]]
    metainfo = {'classes': ('ground', 'disc', 'bar'), 'palette': palette}
    assert collect(config(tmp_path, metainfo=metainfo), tmp_path).classes.palette == (
        (1, 2, 3),
        (40, 50, 60),
        (255, 0, 7),
    )


def test_the_palette_of_a_host_data_set_in_a_wrapper(tmp_path: Path) -> None:
    """ADE20K's class names are kept but for three; the wrapper hides the class that knows their colours."""
    from mmseg.datasets import ADE20KDataset

    write_maps(tmp_path)
    names = ADE20KDataset.METAINFO['classes'][:3]
    cfg = config(tmp_path, type='ADE20KDataset', metainfo={'classes': names}, reduce_zero_label=False)
    cfg.val_dataloader.dataset = {'type': 'ConcatDataset', 'datasets': [cfg.val_dataloader.dataset]}
    found = collect(cfg, tmp_path)
    assert found.classes.palette == tuple(tuple(colour) for colour in ADE20KDataset.METAINFO['palette'][:3])


def test_without_palette_colours_are_ours(tmp_path: Path) -> None:
    write_maps(tmp_path)
    assert collect(config(tmp_path), tmp_path).classes.palette == (class_colour(0), class_colour(1), class_colour(2))


def test_many_classes_without_palette_have_colours_of_their_own(tmp_path: Path) -> None:
    write_maps(tmp_path)
    found = collect(config(tmp_path, metainfo={'classes': tuple(f'class {index}' for index in range(30))}), tmp_path)
    assert len(set(found.classes.palette)) == 30


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'order': 'no labels'}, '0.png comes without annotations'),
        ({'order': 'labels resized'}, 'LoadAnnotations belongs after Resize'),
        ({'metainfo': {'classes': ('ground', 'disc')}}, r'0\.png: truth has label 2; with 2 classes'),
        ({'data_prefix': {'img_path': 'labels/none', 'seg_map_path': 'labels'}}, 'the val data set is empty'),
    ],
    ids=['no annotations', 'labels resized', 'label out of range', 'empty'],
)
def test_data_that_cannot_be_measured_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    write_maps(tmp_path)
    (tmp_path / 'labels' / 'none').mkdir()
    with pytest.raises(UserError, match=message):
        collect(config(tmp_path, **change), tmp_path)


def test_a_split_that_is_not_there_and_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    write_maps(tmp_path)
    with pytest.raises(UserError, match='no test_dataloader'):
        collect(config(tmp_path), tmp_path, split='test')
    with pytest.raises(CheckpointError, match='does not fit: it fills'):
        collect(config(tmp_path), tmp_path, outputs=4)


def test_data_loading_in_another_process(tmp_path: Path) -> None:
    maps = write_maps(tmp_path)
    cfg = config(tmp_path)
    cfg.val_dataloader.num_workers = 1
    found = collect(cfg, tmp_path, count=9)
    assert [item.truth.name for item in found.comparisons] == [f'{index}.png' for index in range(5)]
    check_counts(found.counts, maps)


def test_a_bar_counts_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass over a whole split takes minutes; its batches are of two images, its bar counts single ones."""
    write_maps(tmp_path)
    bars = record_bars(monkeypatch, 'resnest_mm.report.predictions.segmentor')
    collect(config(tmp_path), tmp_path)
    assert [(bar.n, bar.total) for bar in bars] == [(5, 5)]
