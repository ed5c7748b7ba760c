"""The switches of the command line: what they set, what they refuse, and that they work on a copy."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from resnest_mm.errors import UserError
from resnest_mm.training import settings


def recipe(**changes: Any) -> Config:
    values: dict[str, Any] = {
        'model': {'norm_cfg': {'type': 'SyncBN'}},
        'optim_wrapper': {'type': 'OptimWrapper', 'optimizer': {'lr': 0.1}},
        'auto_scale_lr': {'enable': False, 'base_batch_size': 16},
        'load_from': 'pretrained.pth',
    }
    return Config({**values, **changes})


def on(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, 'get_device', lambda: device)


def test_amp_sets_wrapper_and_dynamic_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    on('cuda', monkeypatch)
    assert settings.apply_amp(recipe()).optim_wrapper == {
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
        settings.apply_amp(recipe(**changes))


def test_auto_scale_lr_is_enabled() -> None:
    assert settings.apply_auto_scale_lr(recipe()).auto_scale_lr == {'enable': True, 'base_batch_size': 16}


@pytest.mark.parametrize(
    ('value', 'missing'), [(None, 'enable'), ({'enable': False}, 'base_batch_size'), ({'base_batch_size': 8}, 'enable')]
)
def test_auto_scale_lr_needs_both_keys(value: dict[str, Any] | None, missing: str) -> None:
    with pytest.raises(UserError, match=f'no auto_scale_lr.{missing};'):
        settings.apply_auto_scale_lr(recipe(auto_scale_lr=value))


@pytest.mark.parametrize(
    ('resume', 'expected'),
    [(None, (False, 'pretrained.pth')), ('auto', (True, None)), ('epoch_3.pth', (True, 'epoch_3.pth'))],
)
def test_resume(resume: str | None, expected: tuple[bool, str | None]) -> None:
    changed = settings.apply_resume(recipe(), resume)
    assert (changed.get('resume', False), changed.load_from) == expected


@pytest.mark.parametrize(
    ('argument', 'of_config', 'expected'),
    [('given', 'own', 'given'), (None, 'own', 'own'), (None, None, 'work_dirs/some_config')],
)
def test_work_dir_priority(
    argument: str | None, of_config: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    changed = settings.apply_work_dir(recipe(work_dir=of_config), argument, config_name='a/b/some_config.py')
    assert changed.work_dir == expected
    assert list(tmp_path.iterdir()) == []


def test_work_dir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'taken').touch()
    with pytest.raises(UserError, match=r'taken is a file'):
        settings.apply_work_dir(recipe(), str(tmp_path / 'taken' / 'run'), config_name='a.py')


def test_launcher_on_a_cpu_is_refused_and_syncbn_is_mentioned(monkeypatch: pytest.MonkeyPatch) -> None:
    on('cpu', monkeypatch)
    with pytest.raises(UserError, match=r'--launcher pytorch needs GPUs.* 1 SyncBN settings'):
        settings.apply_launcher(recipe(), 'pytorch', environ={'RANK': '0', 'WORLD_SIZE': '1'})
    assert settings.apply_launcher(recipe(), 'none', environ={}).launcher == 'none'


def test_launcher_that_did_not_start_this_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    on('cuda', monkeypatch)
    with pytest.raises(UserError, match='RANK is not set; start the tool with torchrun'):
        settings.apply_launcher(recipe(), 'pytorch', environ={})
    assert settings.apply_launcher(recipe(), 'pytorch', environ={'RANK': '0', 'WORLD_SIZE': '2'}).launcher == 'pytorch'


@pytest.mark.parametrize(
    'apply',
    [
        settings.apply_amp,
        settings.apply_auto_scale_lr,
        lambda cfg: settings.apply_resume(cfg, 'auto'),
        lambda cfg: settings.apply_work_dir(cfg, 'x', config_name='y'),
        lambda cfg: settings.apply_launcher(cfg, 'none'),
    ],
    ids=['amp', 'auto_scale_lr', 'resume', 'work_dir', 'launcher'],
)
def test_the_config_handed_in_stays_as_it_is(
    apply: Callable[[Config], Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    on('cuda', monkeypatch)
    cfg = recipe()
    before = copy.deepcopy(cfg.to_dict())
    apply(cfg)
    assert cfg.to_dict() == before
