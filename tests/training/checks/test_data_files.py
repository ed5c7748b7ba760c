"""Data files that a config names and that are missing: the first one, its key, and what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from resnest_mm.errors import UserError
from resnest_mm.training.checks.data_files import check_data


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'data' / 'images').mkdir(parents=True)
    (tmp_path / 'data' / 'ann.json').touch()
    return tmp_path


def coco(**changes: Any) -> dict[str, Any]:
    values = {'type': 'A', 'data_root': 'data', 'ann_file': 'ann.json', 'data_prefix': {'img': 'images/'}}
    return {**values, **changes}


def loaders(dataset: dict[str, Any], **more: Any) -> Config:
    return Config({'train_dataloader': {'dataset': dataset}, **more})


@pytest.mark.parametrize(
    ('changes', 'path', 'key'),
    [
        ({'data_root': 'nowhere'}, 'data root nowhere', 'data_root'),
        ({'ann_file': 'b.json'}, 'annotation file data/b.json', 'ann_file'),
        ({'data_prefix': {'img': 'val'}}, 'image folder data/val', 'data_prefix.img'),
        ({'proposal_file': 'p.pkl'}, 'annotation file data/p.pkl', 'proposal_file'),
        ({'ann_file': '/absent/b.json'}, 'annotation file /absent/b.json', 'ann_file'),
    ],
)
@pytest.mark.parametrize(
    ('wrap', 'where'),
    [
        (lambda dataset: dataset, ''),
        (lambda dataset: {'type': 'RepeatDataset', 'times': 2, 'dataset': dataset}, 'dataset.'),
        (
            lambda dataset: {
                'type': 'ClassBalancedDataset',
                'dataset': {'type': 'ConcatDataset', 'datasets': [coco(), dataset]},
            },
            'dataset.datasets.1.',
        ),
    ],
    ids=['plain', 'repeat', 'balanced concat'],
)
def test_a_missing_path_is_named_with_its_key(
    changes: dict[str, Any], path: str, key: str, wrap: Any, where: str, root: Path
) -> None:
    with pytest.raises(UserError) as caught:
        check_data(loaders(wrap(coco(**changes))), splits=('train', 'val'))
    dotted = f'train_dataloader.dataset.{where}{key}'
    assert str(caught.value).startswith(f'{path} does not exist ({dotted}, looked in {root}); ')
    assert f'--cfg-options {dotted}=' in str(caught.value)


@pytest.mark.parametrize(
    'changes',
    [
        {},
        {'ann_file': ''},
        {'data_prefix': {'img': ''}},
        {'data_root': 's3://bucket/coco'},
        {'data_root': 'nowhere', 'backend_args': {'backend': 'petrel'}},
        {'data_prefix': {'img': 'https://example.org/images'}},
    ],
)
def test_present_empty_and_remote_paths_pass(changes: dict[str, Any], root: Path) -> None:
    check_data(loaders(coco(**changes)), splits=('train',))


def test_hints_name_the_demo_or_the_option(root: Path) -> None:
    with pytest.raises(UserError, match=r'make_demo_data\.py data/demo$'):
        check_data(loaders(coco(data_root='data/demo/')), splits=('train',))
    with pytest.raises(UserError, match=r'--cfg-options data_root=/path/to/data$'):
        check_data(loaders(coco(data_root='data/coco/'), data_root='data/coco/'), splits=('train',))


def test_evaluators_are_checked_and_unused_splits_are_not(root: Path) -> None:
    cfg = loaders(coco(), test_evaluator=[{'type': 'M', 'ann_file': 'data/gone.json'}])
    check_data(cfg, splits=('train', 'val'))
    with pytest.raises(UserError, match=r'data/gone.json does not exist \(test_evaluator.0.ann_file'):
        check_data(cfg, splits=('test',))


def test_missing_panopticapi_is_named_before_a_training(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mmdet would say so only at the first validation."""
    cfg = Config({'val_evaluator': [{'type': 'CocoMetric'}, {'type': 'mmdet.CocoPanopticMetric'}]})
    monkeypatch.setitem(sys.modules, 'panopticapi', None)
    with pytest.raises(UserError, match=r'val_evaluator\.1 measures PQ.*pip install --no-deps panopticapi-lite'):
        check_data(cfg, splits=('val',))
    check_data(cfg, splits=('train',))
    lazy = Config({'val_evaluator': {'metric': 'PQ'}})
    lazy.val_evaluator.type = type('CocoPanopticMetric', (), {})
    with pytest.raises(UserError, match='val_evaluator measures PQ'):
        check_data(lazy, splits=('val',))


def test_missing_stuff_maps_come_with_their_tool(root: Path) -> None:
    prefix = {'img': 'images', 'seg': 'annotations/panoptic_stuff_train2017/'}
    with pytest.raises(UserError, match=r'panoptic_stuff_train2017/ does not exist.*make_stuff_maps\.py'):
        check_data(loaders(coco(data_prefix=prefix)), splits=('train',))
