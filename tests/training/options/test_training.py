"""The switches of the command line: what they set, what they refuse, and that they work on a copy."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from mmengine.config import Config

from resnest_mm.errors import UserError
from resnest_mm.training.options import training as options


def recipe(**changes: Any) -> Config:
    values: dict[str, Any] = {
        'model': {'norm_cfg': {'type': 'SyncBN'}},
        'optim_wrapper': {'type': 'OptimWrapper', 'optimizer': {'lr': 0.1}},
        'auto_scale_lr': {'enable': False, 'base_batch_size': 16},
        'load_from': 'pretrained.pth',
    }
    return Config({**values, **changes})


def on(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, 'get_device', lambda: device)


def test_amp_sets_wrapper_and_dynamic_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    on('cuda', monkeypatch)
    assert options.apply_amp(recipe()).optim_wrapper == {
        'type': 'AmpOptimWrapper',
        'loss_scale': 'dynamic',
        'optimizer': {'lr': 0.1},
    }


@pytest.mark.parametrize(
    ('device', 'changes', 'expected'),
    [
        ('cpu', {}, '--amp needs a GPU'),
        ('cuda', {'optim_wrapper': {'type': 'DeepSpeedOptimWrapper'}}, 'DeepSpeedOptimWrapper'),
        ('cuda', {'optim_wrapper': None}, 'no optim_wrapper'),
    ],
)
def test_amp_refuses(device: str, changes: dict[str, Any], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on(device, monkeypatch)
    with pytest.raises(UserError, match=expected):
        options.apply_amp(recipe(**changes))


def test_auto_scale_lr_is_enabled() -> None:
    assert options.apply_auto_scale_lr(recipe()).auto_scale_lr == {'enable': True, 'base_batch_size': 16}


@pytest.mark.parametrize(
    ('value', 'missing'), [(None, 'enable'), ({'enable': False}, 'base_batch_size'), ({'base_batch_size': 8}, 'enable')]
)
def test_auto_scale_lr_needs_both_keys(value: dict[str, Any] | None, missing: str) -> None:
    with pytest.raises(UserError, match=f'no auto_scale_lr.{missing};'):
        options.apply_auto_scale_lr(recipe(auto_scale_lr=value))


@pytest.mark.parametrize(
    ('resume', 'expected'),
    [(None, (False, 'pretrained.pth')), ('auto', (True, None)), ('epoch_3.pth', (True, 'epoch_3.pth'))],
)
def test_resume(resume: str | None, expected: tuple[bool, str | None]) -> None:
    changed = options.apply_resume(recipe(), resume)
    assert (changed.get('resume', False), changed.load_from) == expected


@pytest.mark.parametrize(
    'apply',
    [
        options.apply_amp,
        options.apply_auto_scale_lr,
        lambda cfg: options.apply_resume(cfg, 'auto'),
    ],
    ids=['amp', 'auto_scale_lr', 'resume'],
)
def test_the_config_handed_in_stays_as_it_is(
    apply: Callable[[Config], Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    on('cuda', monkeypatch)
    cfg = recipe()
    before = copy.deepcopy(cfg.to_dict())
    apply(cfg)
    assert cfg.to_dict() == before
