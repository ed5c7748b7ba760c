"""Moving the data folder of a config whose `data_root` mmengine has already expanded."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from mmengine.config import Config

from resnest_mm.errors import UserError
from resnest_mm.training.config.data_root import move_data_root
from resnest_mm.training.config.load import load_config

TEXT = """\
data_root = 'data/coco/'
dataset = dict(type='CocoDataset', data_root=data_root, ann_file='a.json', data_prefix=dict(img=data_root + 'images'))
train_dataloader = dict(batch_size=2, dataset=dict(type='RepeatDataset', dataset=dict(type='ConcatDataset', datasets=[
    dataset, dict(type='CocoDataset', data_root='data/coco_stuff/', ann_file='/elsewhere/b.json')])))
val_dataloader = dict(dataset=dataset)
val_evaluator = [dict(type='CocoMetric', ann_file=data_root + 'a.json'), dict(type='Other', paths=[data_root + 'x'])]
work_dir = 'data/coco/runs'
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / 'config.py'
    path.write_text(TEXT, encoding='utf-8')
    return path


def test_paths_below_the_old_root_move_and_nothing_else(config: Path) -> None:
    moved = move_data_root(Config.fromfile(config), 'data/coco/', '/disk/coco')
    first, second = moved.train_dataloader.dataset.dataset.datasets
    assert moved.data_root == '/disk/coco'
    assert (first.data_root, first.data_prefix.img, first.ann_file) == ('/disk/coco', '/disk/coco/images', 'a.json')
    assert (second.data_root, second.ann_file) == ('data/coco_stuff/', '/elsewhere/b.json')
    assert moved.val_dataloader.dataset.data_root == '/disk/coco'
    assert moved.val_evaluator[0].ann_file == '/disk/coco/a.json'
    assert moved.val_evaluator[1].paths == ['/disk/coco/x']
    assert moved.work_dir == 'data/coco/runs'


def test_the_config_handed_in_stays_as_it_is(config: Path) -> None:
    cfg = Config.fromfile(config)
    before = copy.deepcopy(cfg.to_dict())
    move_data_root(cfg, 'data/coco', 'new/')
    assert cfg.to_dict() == before


def test_data_root_of_the_command_line_moves_the_data_sets(config: Path) -> None:
    cfg = load_config(str(config), cfg_options={'data_root': '/disk/'})
    assert cfg.val_dataloader.dataset.data_root == '/disk/'
    assert cfg.val_evaluator[0].ann_file == '/disk/a.json'


def test_an_option_for_one_data_set_wins_over_data_root(config: Path) -> None:
    cfg = load_config(str(config), cfg_options={'data_root': '/disk', 'val_dataloader.dataset.data_root': '/val'})
    assert cfg.val_dataloader.dataset.data_root == '/val'
    assert cfg.val_evaluator[0].ann_file == '/disk/a.json'


@pytest.mark.parametrize(
    ('old', 'new', 'expected'),
    [
        ('', '/disk', 'neither may be empty'),
        ('data/coco', '', 'neither may be empty'),
        ('data/voc', '/disk', 'data/voc'),
    ],
)
def test_a_move_that_moves_nothing_is_refused(config: Path, old: str, new: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        move_data_root(Config.fromfile(config), old, new)


def test_data_root_option_is_refused_where_the_config_has_none() -> None:
    from resnest_mm.training.config.load import merge_options

    with pytest.raises(UserError, match='no data_root of its own'):
        merge_options(Config({'train_dataloader': {'dataset': {'data_root': 'a'}}}), {'data_root': 'b'})
