"""What `tools/test.py` adds to a config: dumps, drawings, test-time augmentation."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from resnest_mm.errors import UserError
from resnest_mm.training.options.testing import apply_out, apply_show_dir, apply_tta

PIPELINE = [{'type': 'LoadImageFromFile'}, {'type': 'PackDetInputs'}]


def recipe(scope: str = 'mmdet', **changes: Any) -> Config:
    values: dict[str, Any] = {
        'default_scope': scope,
        'model': {'type': 'RetinaNet'},
        'test_dataloader': {'dataset': {'type': 'Repeat', 'dataset': {'type': 'CocoDataset', 'pipeline': PIPELINE}}},
        'test_evaluator': {'type': 'CocoMetric'},
        'default_hooks': {'visualization': {'type': 'VisualizationHook'}},
        'visualizer': {'type': 'LocalVisualizer'},
    }
    return Config({**values, **changes})


@pytest.mark.parametrize(('scope', 'dump'), [('mmdet', 'DumpDetResults'), ('mmseg', 'DumpResults')])
def test_out_adds_the_dump_of_the_framework(scope: str, dump: str) -> None:
    added = {'type': dump, 'out_file_path': 'r.pkl'}
    assert apply_out(recipe(scope), 'r.pkl').test_evaluator == [{'type': 'CocoMetric'}, added]
    several = recipe(scope, test_evaluator={'type': 'MultiDatasetsEvaluator', 'metrics': [{'type': 'A'}]})
    assert apply_out(several, 'r.pkl').test_evaluator.metrics == [{'type': 'A'}, added]


@pytest.mark.parametrize('out', ['results.json', 'results'])
def test_out_must_be_a_pickle(out: str) -> None:
    with pytest.raises(UserError, match=f'--out {out} must end with .pkl'):
        apply_out(recipe(), out)


def test_out_may_not_be_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / 'a.pkl'
    folder.mkdir()
    with pytest.raises(UserError, match='is a folder'):
        apply_out(recipe(), str(folder))


def test_show_dir_goes_where_the_framework_looks() -> None:
    detector = apply_show_dir(recipe('mmdet'), 'drawn')
    assert detector.default_hooks.visualization == {'type': 'VisualizationHook', 'draw': True, 'test_out_dir': 'drawn'}
    segmentor = apply_show_dir(recipe('mmseg'), 'drawn')
    assert segmentor.default_hooks.visualization == {'type': 'VisualizationHook', 'draw': True}
    assert segmentor.visualizer.save_dir == 'drawn'


def test_show_dir_needs_a_hook() -> None:
    with pytest.raises(UserError, match=r'no default_hooks\.visualization'):
        apply_show_dir(recipe(default_hooks={}), 'drawn')


def test_a_detector_without_tta_gets_flips() -> None:
    changed = apply_tta(recipe())
    dataset = changed.test_dataloader.dataset.dataset
    assert dataset.pipeline[0] == {'type': 'LoadImageFromFile'}
    assert dataset.pipeline[1].type == 'TestTimeAug'
    assert [flip.prob for flip in dataset.pipeline[1].transforms[0]] == [1.0, 0.0]
    assert changed.model.type == 'DetTTAModel'
    assert changed.model.tta_cfg == {'nms': {'type': 'nms', 'iou_threshold': 0.5}, 'max_per_img': 100}
    assert changed.model.module == {'type': 'RetinaNet'}


def test_the_tta_of_the_config_is_used() -> None:
    tta = {'tta_model': {'type': 'SegTTAModel'}, 'tta_pipeline': [{'type': 'TestTimeAug'}]}
    changed = apply_tta(recipe('mmseg', **tta))
    assert changed.model == {'type': 'SegTTAModel', 'module': {'type': 'RetinaNet'}}
    assert changed.test_dataloader.dataset.dataset.pipeline == [{'type': 'TestTimeAug'}]


@pytest.mark.parametrize('missing', ['tta_model', 'tta_pipeline'])
def test_a_segmentor_without_tta_is_refused(missing: str) -> None:
    tta = {'tta_model': {'type': 'SegTTAModel'}, 'tta_pipeline': [{'type': 'TestTimeAug'}], missing: None}
    with pytest.raises(UserError, match=f'no {missing}'):
        apply_tta(recipe('mmseg', **tta))


def test_the_config_handed_in_stays_as_it_is() -> None:
    cfg = recipe()
    before = copy.deepcopy(cfg.to_dict())
    apply_tta(apply_show_dir(apply_out(cfg, 'r.pkl'), 'drawn'))
    assert cfg.to_dict() == before
