"""`--cfg-options`: typos are refused, new keys are not, and the config handed in does not change."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from mmengine.config import Config

from resnest_mm.errors import UserError
from resnest_mm.training.config.cfg_options import check_option_keys, key_value
from resnest_mm.training.config.load import merge_options

SETTINGS: dict[str, Any] = {
    'model': {'backbone': {'type': 'resnest_mm.ResNeSt', 'variant': 'resnest50', 'dcn': None}},
    'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.1}},
    'train_cfg': {'max_epochs': 12, 'val_interval': 1},
    'hooks': [{'type': 'A', 'priority': 1}],
}


@pytest.mark.parametrize(
    ('key', 'meant'),
    [
        ('optim_wrapper.optimzer.lr', 'optim_wrapper.optimizer.lr'),
        ('optm_wrapper.optimizer.lr', 'optim_wrapper.optimizer.lr'),
        ('model.backbone.varient', 'model.backbone.variant'),
        ('hooks.0.prioritty', 'hooks.0.priority'),
        ('load_form', 'load_from'),
    ],
)
def test_a_near_miss_is_refused_with_what_was_meant(key: str, meant: str) -> None:
    with pytest.raises(UserError, match=f'did you mean {meant}[?]'):
        check_option_keys(Config(SETTINGS), {key: 1})


@pytest.mark.parametrize(
    'key',
    [
        'model.backbone.variant',
        'model.backbone.with_cp',
        'model.backbone.dcn.type',
        'train_cfg.max_iters',
        'train_cfg.interval',
        'hooks.0.type',
        'load_from',
        'randomness.seed',
        'val_dataloader.batch_size',
        'test_dataloader.batch_size',
        'something.new',
    ],
)
def test_existing_and_really_new_keys_pass(key: str) -> None:
    check_option_keys(Config(SETTINGS), {key: 1})


@pytest.mark.parametrize(
    ('key', 'expected'),
    [
        ('hooks.3.type', 'index from 0 to 0'),
        ('hooks.first.type', 'index from 0 to 0'),
        ('optim_wrapper.optimizer.lr.factor', "0.1 and has no key 'factor'"),
    ],
)
def test_a_key_that_leads_nowhere_is_refused(key: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        check_option_keys(Config(SETTINGS), {key: 1})


def test_options_are_merged_into_a_copy() -> None:
    cfg = Config(SETTINGS)
    merged = merge_options(cfg, {'optim_wrapper.optimizer.lr': 0.5, 'hooks.0.priority': 7, 'model.backbone.deep': True})
    assert (merged.optim_wrapper.optimizer.lr, merged.hooks[0].priority, merged.model.backbone.deep) == (0.5, 7, True)
    assert cfg.optim_wrapper.optimizer.lr == 0.1
    assert cfg.hooks[0].priority == 1
    assert 'deep' not in cfg.model.backbone


@pytest.mark.parametrize('text', ['lr', '=1', 'a=[1,2', 'a=(1'])
def test_what_is_not_key_value_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        key_value(text)


@pytest.mark.parametrize('value', ['dict(a=1)', "[dict(type='A',num=1)]", "{'a':1}", '[1,{2}]', 'A(1,2)'])
def test_a_dict_is_refused(value: str) -> None:
    """mmengine makes a string of it, or never comes back."""
    with pytest.raises(argparse.ArgumentTypeError, match=r'hooks\.0=.*one by one'):
        key_value(f'hooks.0={value}')


def test_key_value_passes_through() -> None:
    for text in ('a.b=[(1,2),3]', 'data_root=data/set(1)', 'a=dictionary'):
        assert key_value(text) == text
