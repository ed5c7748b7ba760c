"""Mean, std and channel order come with the weights; a config that says otherwise is told, with both values."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
from mmengine.config import Config

from resnest_mm import config_path
from resnest_mm.training.preprocessing import check_preprocessing, preprocessing_notes
from resnest_mm.training.pretrained import find_pretrained
from resnest_mm.weights.records.lookup import RECORDS

MMDET = {'mean': [123.68, 116.779, 103.939], 'std': [58.393, 57.12, 57.375], 'bgr_to_rgb': True}
MMSEG = {'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375], 'bgr_to_rgb': True}
CAFFE = {'mean': [103.53, 116.28, 123.675], 'std': [1.0, 1.0, 1.0], 'bgr_to_rgb': False}


def notes_for(cfg: Config) -> list[str]:
    return preprocessing_notes(find_pretrained(cfg))


def model(checkpoint: str, preprocessor: dict[str, Any] | None = None, **more: Any) -> Config:
    backbone = {'type': 'resnest_mm.ResNeSt', 'init_cfg': {'type': 'Pretrained', 'checkpoint': checkpoint}}
    given = {} if preprocessor is None else {'data_preprocessor': preprocessor}
    return Config({'model': {'type': 'M', 'backbone': backbone, **given}, **more})


@pytest.mark.parametrize(
    ('checkpoint', 'preprocessor'),
    [
        ('open-mmlab://resnest50', MMDET),
        ('open-mmlab/resnest101', MMDET),
        ('detectron2/resnest50', MMDET),
        ('resnest50', MMSEG),
        ('encoding/DeepLab_ResNeSt50_ADE', MMSEG),
        ('resnest50', {**MMSEG, 'mean': (123.68, 116.28, 103.53)}),
        ('resnest50', {**MMSEG, 'bgr_to_rgb': False, 'rgb_to_bgr': True}),
        ('open-mmlab://resnet50', CAFFE),
        ('work_dirs/mine.pth', CAFFE),
    ],
)
def test_what_suits_or_is_unknown_gives_no_warning(checkpoint: str, preprocessor: dict[str, Any]) -> None:
    assert notes_for(model(checkpoint, preprocessor)) == []


@pytest.mark.parametrize(
    ('checkpoint', 'preprocessor', 'given', 'expected'),
    [
        (
            'resnest50',
            CAFFE,
            'BGR with mean [103.53, 116.28, 123.675] and std [1.0, 1.0, 1.0]',
            'mean [123.675, 116.28',
        ),
        ('open-mmlab://resnest50', MMSEG, 'RGB with mean [123.675, 116.28, 103.53]', 'RGB with mean [123.68, 116.779'),
        ('resnest50', {**MMSEG, 'bgr_to_rgb': False}, 'BGR with mean [123.675', 'RGB with mean [123.675'),
        ('resnest50', {**MMSEG, 'std': [1, 1, 1]}, 'std [1, 1, 1],', 'std [58.395, 57.12, 57.375]'),
        ('resnest50', {**MMSEG, 'mean': [0.485, 0.456, 0.406]}, 'mean [0.485, 0.456, 0.406]', 'mean [123.675'),
        ('resnest50', {**MMSEG, 'mean': [116.28]}, 'mean [116.28]', 'mean [123.675'),
        ('resnest50', {}, 'BGR with mean None and std None', 'mean [123.675'),
        ('resnest50', None, 'BGR with mean None and std None', 'mean [123.675'),
    ],
)
def test_what_differs_is_one_line_with_both_values(
    checkpoint: str, preprocessor: dict[str, Any] | None, given: str, expected: str
) -> None:
    cfg = model(checkpoint, preprocessor)
    before = copy.deepcopy(cfg.to_dict())
    (note,) = notes_for(cfg)
    assert cfg.to_dict() == before
    assert '\n' not in note
    where = 'data_preprocessor' if preprocessor is None else 'model.data_preprocessor'
    assert note.startswith(f'warning: {where} does not suit model.backbone.init_cfg.checkpoint=')
    gives, _, expects = note.partition(', the weights expect ')
    assert given in f'{gives},'
    assert expected in expects


def test_the_preprocessor_that_counts_is_the_nearest_one() -> None:
    assert notes_for(model('resnest50', data_preprocessor=MMSEG)) == []
    assert len(notes_for(model('resnest50', MMSEG, data_preprocessor=CAFFE))) == 0
    assert len(notes_for(model('resnest50', CAFFE, data_preprocessor=MMSEG))) == 1
    inner = model('resnest50', MMSEG).model
    outer = {'type': 'Semi', 'detector': inner, 'data_preprocessor': {'type': 'Branches', 'data_preprocessor': CAFFE}}
    assert notes_for(Config({'model': outer})) == []
    outer['detector'] = model('resnest50').model
    (note,) = notes_for(Config({'model': outer}))
    assert note.startswith('warning: model.data_preprocessor.data_preprocessor does not suit')


def test_an_order_can_be_asked_for_by_a_record() -> None:
    """Nothing published is BGR, but a record of one's own may be."""
    record = dataclasses.replace(RECORDS['resnest50'], name='bgr', channel_order='BGR', mean=(1, 2, 3), std=(1, 1, 1))
    given = {'mean': [1, 2, 3], 'std': [1, 1, 1]}
    assert check_preprocessing(given, record) is None
    assert check_preprocessing({**given, 'bgr_to_rgb': True}, record) is not None


def test_the_shipped_recipe_suits_its_weights() -> None:
    pytest.importorskip('mmdet')
    cfg = Config.fromfile(config_path('detection/faster-rcnn_s50_fpn_1x_coco.py'))
    assert [entry.record and entry.record.name for entry in find_pretrained(cfg)] == ['open-mmlab/resnest50']
    assert notes_for(cfg) == []
