"""`--single-gpu`: which norms and learning rates change, and that the config handed in does not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from mmengine.config import Config

from resnest_mm.training.options.single_gpu import count_sync_norms, use_single_gpu


def recipe(**changes: Any) -> Config:
    settings: dict[str, Any] = {
        'model': {
            'backbone': {'type': 'resnest_mm.ResNeSt', 'norm_cfg': {'type': 'SyncBN', 'requires_grad': True}},
            'neck': [{'type': 'FPN', 'norm_cfg': {'type': 'resnest_mm.NaiveSyncBN', 'eps': 1e-3, 'stats_mode': 'N'}}],
            'roi_head': {'bbox_head': {'norm_cfg': {'type': 'SyncBatchNorm', 'process_group': None}}},
            'mask_head': {'norm_cfg': {'type': 'GN', 'num_groups': 32}},
            'other': {'norm_cfg': {'type': 'MMSyncBN'}},
        },
        'train_dataloader': {'batch_size': 2},
        'auto_scale_lr': {'enable': True, 'base_batch_size': 16},
        'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.02}},
    }
    return Config({**settings, **changes})


def test_every_synchronised_norm_becomes_bn_without_its_own_keys() -> None:
    changed, change = use_single_gpu(recipe())
    assert change.norms == 4
    assert changed.model.backbone.norm_cfg == {'type': 'BN', 'requires_grad': True}
    assert changed.model.neck[0].norm_cfg == {'type': 'BN', 'eps': 1e-3}
    assert changed.model.roi_head.bbox_head.norm_cfg == {'type': 'BN'}
    assert changed.model.mask_head.norm_cfg == {'type': 'GN', 'num_groups': 32}
    assert count_sync_norms(changed.model) == 0


def test_learning_rate_follows_the_batch_size_and_is_scaled_only_once() -> None:
    changed, change = use_single_gpu(recipe())
    assert changed.optim_wrapper.optimizer.lr == pytest.approx(0.0025)
    assert changed.auto_scale_lr.enable is False
    assert str(change) == '--single-gpu: 4 SyncBN settings -> BN; lr 0.02 -> 0.0025 (batch size 2 instead of 16)'


def test_the_config_handed_in_stays_as_it_is() -> None:
    cfg = recipe()
    before = copy.deepcopy(cfg.to_dict())
    use_single_gpu(cfg)
    assert cfg.to_dict() == before


@pytest.mark.parametrize(
    ('changes', 'missing'),
    [
        ({'auto_scale_lr': None}, 'auto_scale_lr.base_batch_size'),
        ({'auto_scale_lr': {'enable': False}}, 'auto_scale_lr.base_batch_size'),
        ({'train_dataloader': {'batch_sampler': {}}}, 'train_dataloader.batch_size'),
    ],
    ids=['no auto_scale_lr', 'no base_batch_size', 'no batch_size'],
)
def test_learning_rate_is_left_alone_where_a_number_is_missing(changes: dict[str, Any], missing: str) -> None:
    changed, change = use_single_gpu(recipe(**changes))
    assert changed.optim_wrapper.optimizer.lr == 0.02
    assert f'lr stays 0.02 (left alone: the config has no {missing})' in str(change)
    assert change.norms == 4


def test_each_of_several_optimizers_is_scaled() -> None:
    optim_wrapper = {
        'constructor': 'Two',
        'generator': {'optimizer': {'type': 'Adam', 'lr': 0.8}},
        'critic': {'optimizer': {'type': 'Adam', 'lr': 0.4}},
    }
    changed, change = use_single_gpu(recipe(optim_wrapper=optim_wrapper))
    assert changed.optim_wrapper.generator.optimizer.lr == pytest.approx(0.1)
    assert changed.optim_wrapper.critic.optimizer.lr == pytest.approx(0.05)
    assert 'lr 0.8 -> 0.1, lr 0.4 -> 0.05' in str(change)
