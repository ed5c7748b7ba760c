"""The config in mmengine's pure Python style, whose types are classes, is the recipe and goes through the tools."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from resnest_mm.errors import UserError
from resnest_mm.models.resnest import ResNeSt
from resnest_mm.report import report
from resnest_mm.report.logs.scalars import Schedule
from resnest_mm.training.checks.build import check_build
from resnest_mm.training.config.load import load_config
from resnest_mm.training.config.walk import type_name
from resnest_mm.training.options.single_gpu import count_sync_norms, use_single_gpu
from resnest_mm.training.preprocessing import preprocessing_notes
from resnest_mm.training.pretrained import find_pretrained
from tests.support.config_values import differences
from tests.support.shipped_configs import CONFIGS, build, read, without_weights

pytest.importorskip('mmdet', reason='the config imports its classes')

LAZY = CONFIGS / 'detection' / 'lazy_faster-rcnn_s50_fpn_1x_coco.py'
PLAIN = CONFIGS / 'detection' / 'faster-rcnn_s50_fpn_1x_coco.py'


def test_its_types_are_classes() -> None:
    """It shows the pure Python style, where an editor follows a name to its class."""
    cfg = read(LAZY)
    assert cfg.model.backbone.type is ResNeSt
    assert isinstance(cfg.train_dataloader.dataset.pipeline[0].type, type)


def test_every_value_is_that_of_the_plain_recipe() -> None:
    """Model, data, schedule, hooks and tests, key by key; a class counts as its registered name."""
    assert differences(read(PLAIN), read(LAZY)) == {}


def test_it_builds_the_same_model() -> None:
    """Layer by layer, and with the keys of the same checkpoints."""
    ours, theirs = build(read(LAZY)), build(read(PLAIN))
    assert [(name, type(part)) for name, part in ours.named_modules()] == [
        (name, type(part)) for name, part in theirs.named_modules()
    ]
    states = [{name: value.shape for name, value in model.state_dict().items()} for model in (ours, theirs)]
    assert states[0] == states[1]


def test_one_gpu_turns_its_norm_classes_into_bn() -> None:
    """--single-gpu finds a class as it finds a name."""
    cfg = read(LAZY)
    assert count_sync_norms(cfg.model) == 3
    changed, change = use_single_gpu(cfg)
    assert str(change) == '--single-gpu: 3 SyncBN settings -> BN; lr 0.02 -> 0.0025 (batch size 2 instead of 16)'
    assert changed.model.neck.norm_cfg == {'type': 'BN', 'requires_grad': True}
    assert count_sync_norms(cfg.model) == 3


def test_options_of_the_command_line_reach_it() -> None:
    """--cfg-options reaches numbers, lists and paths that are derived from others."""
    options = {'data_root': 'data/elsewhere', 'train_cfg.max_iters': 7, 'param_scheduler.0.end': 5}
    cfg = load_config(str(LAZY), cfg_options=options)
    assert cfg.train_dataloader.dataset.data_root == 'data/elsewhere'
    assert cfg.val_evaluator.ann_file == 'data/elsewhere/annotations/instances_val2017.json'
    assert (cfg.train_cfg.max_iters, cfg.param_scheduler[0].end) == (7, 5)
    assert cfg.model.backbone.type is ResNeSt


def test_a_misspelt_option_is_refused() -> None:
    """A typo would train with the old value."""
    with pytest.raises(UserError, match=r'did you mean train_dataloader\.batch_size'):
        load_config(str(LAZY), cfg_options={'train_dataloader.batchsize': 4})


def test_its_weights_are_found_and_get_the_images_that_they_expect() -> None:
    """The check of weights against preprocessing reads this style, too."""
    [entry] = find_pretrained(read(LAZY))
    assert entry.record is not None and entry.is_own
    assert (entry.key, entry.record.variant) == ('model.backbone.init_cfg.checkpoint', 'resnest50')
    assert preprocessing_notes([entry]) == []


def test_a_report_knows_when_it_evaluates() -> None:
    """The report finds the loop by its class."""
    assert report._schedule(read(LAZY)) == Schedule(val_interval=90000, max_iters=90000)
    assert report._schedule(Config({'train_cfg': {'type': 'EpochBasedTrainLoop', 'max_iters': 5}})) is None


@pytest.mark.parametrize(
    ('kind', 'name'),
    [(ResNeSt, 'ResNeSt'), ('resnest_mm.ResNeSt', 'ResNeSt'), ('BN', 'BN'), ('a.b.C', 'C'), (None, '')],
)
def test_a_type_has_one_name_in_all_spellings(kind: object, name: str) -> None:
    """A class, a name with its scope and a dotted path mean the same."""
    assert type_name({} if kind is None else {'type': kind}) == name


@pytest.mark.slow
def test_the_copy_that_a_training_writes_is_the_recipe_too(tmp_path: Path) -> None:
    """It is no longer in this style: a class stands there as a text, module and name."""
    cfg = read(LAZY)
    cfg.dump(tmp_path / 'dumped.py')
    dumped = Config.fromfile(tmp_path / 'dumped.py')
    assert dumped.model.backbone.type == 'resnest_mm.ResNeSt'
    assert type_name(dumped.train_cfg) == 'IterBasedTrainLoop'
    assert count_sync_norms(dumped.model) == 3
    dumped.model = without_weights(dumped.model)
    check_build(dumped, splits=('train', 'val', 'test'))
    states = [{key: value.shape for key, value in build(one).state_dict().items()} for one in (cfg, dumped)]
    assert states[0] == states[1]
