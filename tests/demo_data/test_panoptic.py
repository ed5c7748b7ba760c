"""Panoptic maps of the demo data agree with its scenes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from resnest_mm.demo_data import CLASSES, DemoSettings, draw_scene, write_demo_data

TINY = DemoSettings(images=2, size=64)


@pytest.fixture(scope='module')
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_data(tmp_path_factory.mktemp('tiny') / 'demo', settings=TINY)


def read(path: Path) -> NDArray[Any]:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return np.asarray(picture)


def test_demo_maps_are_those_of_the_scenes(tiny: Path) -> None:
    content = json.loads((tiny / 'annotations' / 'panoptic_val.json').read_text())
    assert [entry['name'] for entry in content['categories']] == [*CLASSES, 'background']
    assert [entry['isthing'] for entry in content['categories']] == [1] * 5 + [0]
    assert [entry['id'] for entry in content['images']] == [entry['image_id'] for entry in content['annotations']]
    for index, entry in enumerate(content['annotations']):
        scene = draw_scene(TINY, 'val', index)
        picture = read(tiny / 'panoptic' / 'val' / entry['file_name']).astype(int)
        numbers = picture[..., 2] + 256 * picture[..., 1] + 65536 * picture[..., 0]
        *things, background = entry['segments_info']
        assert [segment['category_id'] for segment in things] == [instance.label for instance in scene.instances]
        for segment, instance in zip(things, scene.instances, strict=True):
            np.testing.assert_array_equal(numbers == segment['id'], instance.mask)
            assert segment['area'] == instance.mask.sum() and tuple(segment['bbox']) == instance.box
        np.testing.assert_array_equal(numbers == background['id'], scene.semantic == 0)
        assert background['category_id'] == 6 and background['area'] == (scene.semantic == 0).sum()


def test_prediction_of_the_truth_has_full_quality(tiny: Path) -> None:
    """The files are read as COCO's own tools and mmdet read them."""
    pytest.importorskip('panopticapi', reason='mmdet measures PQ with it')
    pytest.importorskip('mmdet', reason='it is its metric')
    import torch
    from mmdet.evaluation import CocoPanopticMetric

    metric = CocoPanopticMetric(
        ann_file=str(tiny / 'annotations' / 'panoptic_val.json'), seg_prefix=str(tiny / 'panoptic' / 'val')
    )
    metric.dataset_meta = {'classes': (*CLASSES, 'background'), 'thing_classes': CLASSES}
    for index in range(3):
        scene = draw_scene(TINY, 'val', index)
        labels = np.full((64, 64), 5)
        for number, instance in enumerate(scene.instances, start=1):
            labels[instance.mask] = instance.label - 1 + 1000 * number
        sample = {
            'img_id': index + 1,
            'img_path': f'{index:06d}.jpg',
            'ori_shape': (64, 64),
            'pred_panoptic_seg': {'sem_seg': torch.from_numpy(labels)[None]},
        }
        metric.process({}, [sample])
    found = metric.evaluate(size=3)
    assert found['coco_panoptic/PQ'] == found['coco_panoptic/PQ_st'] == found['coco_panoptic/PQ_th'] == 100
