"""Masks and panoptic segments of a detector with known predictions, and the ground truth beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.structures import InstanceData, PixelData

from resnest_mm.annotations.annotated_image import ImageObjects
from resnest_mm.demo_data import CLASSES, DemoSettings, draw_scene, write_demo_data
from resnest_mm.report.predictions.detector import DetectorPredictions, predict_detector

pytest.importorskip('mmdet', reason='runs the pipelines of mmdet')

SETTINGS = DemoSettings(images=1, size=64)
VOID = len(CLASSES) + 1


@MODELS.register_module(name='ReportTestMasks', force=True)
class KnownMasks(BaseModel):
    """Predicts the upper half of every image as class 1, and its left half with a score of 0.4."""

    def __init__(self, data_preprocessor: dict[str, Any] | None = None) -> None:
        super().__init__(data_preprocessor)
        self.head = torch.nn.Linear(2, 3)

    def forward(self, inputs: torch.Tensor, data_samples: list[Any], mode: str) -> list[Any]:
        masks = torch.zeros(2, 64, 64, dtype=torch.bool)
        masks[0, :32] = masks[1, :, :32] = True
        for sample in data_samples:
            sample.pred_instances = InstanceData(
                bboxes=torch.tensor([[0.0, 0, 64, 32], [0, 0, 32, 64]]),
                labels=torch.tensor([1, 0]),
                scores=torch.tensor([0.9, 0.4]),
                masks=masks,
            )
        return data_samples


@MODELS.register_module(name='ReportTestPanoptic', force=True)
class KnownSegments(KnownMasks):
    """Predicts one object of class 2 in the upper left corner, background elsewhere, and nothing in the last row."""

    def forward(self, inputs: torch.Tensor, data_samples: list[Any], mode: str) -> list[Any]:
        segments = torch.full((1, 64, 64), len(CLASSES), dtype=torch.int32)
        segments[0, :16, :24] = 2 + 1000
        segments[0, -1] = VOID
        for sample in super().forward(inputs, data_samples, mode):
            sample.pred_panoptic_seg = PixelData(sem_seg=segments)
        return data_samples


@pytest.fixture(scope='module')
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_data(tmp_path_factory.mktemp('demo') / 'data', settings=SETTINGS)


def predict(demo: Path, folder: Path, model: str, dataset: dict[str, Any], *, count: int = 8) -> DetectorPredictions:
    pipeline = [
        {'type': 'LoadImageFromFile'},
        {'type': 'Resize', 'scale': (96, 96), 'keep_ratio': True},
        {'type': 'PackDetInputs', 'meta_keys': ('img_path', 'ori_shape', 'img_shape', 'scale_factor')},
    ]
    common = {'data_root': str(demo), 'test_mode': True, 'pipeline': pipeline}
    cfg = Config(
        {
            'default_scope': 'mmdet',
            'model': {'type': f'mmengine.{model}', 'data_preprocessor': {'type': 'mmdet.DetDataPreprocessor'}},
            'val_dataloader': {'batch_size': 1, 'dataset': {**common, **dataset}},
        }
    )
    torch.save({'state_dict': KnownMasks().state_dict()}, folder / 'iter_1.pth')
    return predict_detector(cfg, folder / 'iter_1.pth', split='val', count=count, score_threshold=0.5, device='cpu')


def masks_of(objects: ImageObjects | None) -> np.ndarray[Any, Any]:
    assert objects is not None and objects.masks is not None
    return objects.masks


INSTANCES = {
    'type': 'CocoDataset',
    'ann_file': 'annotations/instances_val.json',
    'data_prefix': {'img': 'val/'},
    'metainfo': {'classes': CLASSES},
}


def test_masks_of_prediction_and_ground_truth(demo: Path, tmp_path: Path) -> None:
    """Both have the pixels of the original image; a prediction below the threshold is left out with its mask."""
    found = predict(demo, tmp_path, 'ReportTestMasks', INSTANCES)
    assert (len(found.comparisons), found.total, found.panoptic) == (8, 8, False)
    for index, item in enumerate(found.comparisons):
        predicted = masks_of(item.prediction.objects)
        assert predicted.shape == (1, 64, 64)
        assert predicted[0, :32].all() and not predicted[0, 32:].any()
        assert item.prediction.objects is not None and item.prediction.objects.labels.tolist() == [1]
        instances = draw_scene(SETTINGS, 'val', index).instances
        np.testing.assert_array_equal(masks_of(item.truth.objects), [instance.mask for instance in instances])


def test_crowds_are_left_out_with_their_masks(demo: Path, tmp_path: Path) -> None:
    content = json.loads((demo / 'annotations' / 'instances_val.json').read_text())
    for item in content['annotations'][1:]:
        item['iscrowd'] = 1
    (tmp_path / 'crowds.json').write_text(json.dumps(content))
    dataset = {**INSTANCES, 'ann_file': str(tmp_path / 'crowds.json')}
    found = predict(demo, tmp_path, 'ReportTestMasks', dataset)
    assert [len(masks_of(item.truth.objects)) for item in found.comparisons] == [1] + [0] * 7


def test_ground_truth_without_masks_has_boxes(demo: Path, tmp_path: Path) -> None:
    content = json.loads((demo / 'annotations' / 'instances_val.json').read_text())
    for item in content['annotations']:
        del item['segmentation']
    (tmp_path / 'boxes.json').write_text(json.dumps(content))
    found = predict(demo, tmp_path, 'ReportTestMasks', {**INSTANCES, 'ann_file': str(tmp_path / 'boxes.json')})
    truth = found.comparisons[0].truth.objects
    assert truth is not None and truth.masks is None and len(truth.labels) > 0
    assert len(masks_of(found.comparisons[0].prediction.objects)) == 1


def test_panoptic_segments(demo: Path, tmp_path: Path) -> None:
    """The label map has all classes, the objects those of things; pixels without a segment are ignored."""
    pytest.importorskip('panopticapi', reason='mmdet reads panoptic files with it')
    dataset = {
        'type': 'CocoPanopticDataset',
        'ann_file': 'annotations/panoptic_val.json',
        'data_prefix': {'img': 'val/', 'seg': 'panoptic/val/'},
        'metainfo': {
            'classes': (*CLASSES, 'background'),
            'thing_classes': CLASSES,
            'stuff_classes': ('background',),
        },
    }
    found = predict(demo, tmp_path, 'ReportTestPanoptic', dataset)
    assert found.panoptic and found.class_names == (*CLASSES, 'background')
    for index, item in enumerate(found.comparisons):
        scene = draw_scene(SETTINGS, 'val', index)
        assert item.truth.label_map is not None and item.prediction.label_map is not None
        np.testing.assert_array_equal(item.truth.label_map, np.where(scene.semantic == 0, 5, scene.semantic - 1.0))
        np.testing.assert_array_equal(masks_of(item.truth.objects), [instance.mask for instance in scene.instances])
        assert item.prediction.objects is not None
        assert item.prediction.objects.corners.tolist() == [[0, 0, 24, 16]]
        assert item.prediction.objects.labels.tolist() == [2]
        labels = item.prediction.label_map
        assert (labels[:16, :24] == 2).all() and (labels[16:63] == 5).all()
        assert (labels[63] == VOID).all() and item.prediction.ignore_index == VOID
