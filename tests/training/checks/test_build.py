"""Building before the run: what is wrong is named, and mmengine's default scope is left as it was."""

from __future__ import annotations

from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import HOOKS, MODELS, DefaultScope
from torch import nn

from resnest_mm.errors import UserError
from resnest_mm.training.checks.build import check_build


@MODELS.register_module(force=True)
class BuildCheckModel(nn.Module):
    def __init__(self, width: int = 4, data_preprocessor: Any = None) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f'width={width} must be at least 1')


def recipe(model: dict[str, Any], **more: Any) -> Config:
    return Config({'model': {'type': 'BuildCheckModel', **model}, **more})


@pytest.mark.parametrize(
    ('model', 'expected'),
    [
        ({'width': 0}, 'the model cannot be built: ValueError: width=0 must be at least 1'),
        ({'wdth': 1}, "the model cannot be built: TypeError: .*unexpected keyword argument 'wdth'"),
        ({'type': 'NoSuchModel'}, 'the model cannot be built: KeyError: NoSuchModel is not in the'),
        ({'type': 'resnest_mm.NoSuchModel'}, 'KeyError: resnest_mm.NoSuchModel is not in the'),
    ],
)
def test_a_model_that_cannot_be_built_is_named(model: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        check_build(recipe(model), splits=('train',))


@pytest.mark.parametrize(
    ('more', 'expected'),
    [
        ({'custom_hooks': [{'type': 'EMAHok'}]}, r"custom_hooks.0.type='EMAHok' .* did you mean 'EMAHook'"),
        ({'default_hooks': {'timer': {'type': 'Zzz'}}}, "default_hooks.timer.type='Zzz' .* check its spelling"),
        ({'optim_wrapper': {'optimizer': {'type': 'SDG'}}}, "optim_wrapper.optimizer.type='SDG'"),
        ({'param_scheduler': [{'type': 'PolyLr'}]}, "did you mean 'PolyLR'"),
        ({'train_dataloader': {'dataset': {'type': 'RepeatDatset'}}}, "did you mean 'RepeatDataset'"),
        ({'train_dataloader': {'sampler': {'type': 'Sampler9'}}}, "train_dataloader.sampler.type='Sampler9'"),
        (
            {'train_dataloader': {'dataset': {'type': 'RepeatDataset', 'dataset': {'pipeline': [{'type': 'Nope'}]}}}},
            "train_dataloader.dataset.dataset.pipeline.0.type='Nope'",
        ),
        ({'default_scope': 'no_such_host'}, "'no_such_host' of the config is not installed"),
    ],
)
def test_an_unknown_type_is_named_with_its_key(more: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        check_build(recipe({}, **more), splits=('train',))


@pytest.mark.parametrize(
    ('more', 'expected'),
    [
        (
            {'custom_hooks': [{'type': 'resnest_mm.PreciseBNHook', 'num_iters': 0, 'priority': 'LOW'}]},
            'custom_hooks.0 cannot be built: ValueError: num_iters=0 must be',
        ),
        (
            {'custom_hooks': [{'type': 'resnest_mm.PreciseBNHook', 'num_itres': 5}]},
            "custom_hooks.0 cannot be built: TypeError: .*'num_itres'",
        ),
    ],
)
def test_a_part_of_ours_that_cannot_be_built_is_named_with_its_key(more: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        check_build(recipe({}, **more), splits=('train',))


def test_a_transform_of_ours_that_cannot_be_built_is_named_with_its_key() -> None:
    pytest.importorskip('mmdet', reason='the transform is for its data sets')
    steps = [{'type': 'LoadImageFromFile'}, {'type': 'resnest_mm.CropAroundInstance', 'crop_range': (0.9, 2)}]
    more = {'train_dataloader': {'dataset': {'type': 'RepeatDataset', 'dataset': {'pipeline': steps}}}}
    with pytest.raises(UserError, match=r'dataset\.pipeline\.1 cannot be built: ValueError: crop_range=\(0\.9, 2\)'):
        check_build(recipe({}, **more, default_scope='mmdet'), splits=('train',))


def test_a_hook_of_ours_is_built_without_the_priority_that_is_the_runners() -> None:
    hook = {'type': 'resnest_mm.PreciseBNHook', 'num_iters': 2, 'priority': 'LOW'}
    cfg = recipe({}, custom_hooks=[hook])
    check_build(cfg, splits=('train',))
    assert cfg.custom_hooks == [hook]


def test_parts_that_the_run_does_not_use_are_not_looked_at() -> None:
    more = {'test_evaluator': {'type': 'NoSuchMetric'}, 'optim_wrapper': {'optimizer': {'type': 'SGD'}}}
    check_build(recipe({}, **more), splits=('train', 'val'))
    with pytest.raises(UserError, match=r"test_evaluator\.type='NoSuchMetric'"):
        check_build(recipe({}, **more), splits=('test',))


def test_the_default_scope_is_left_as_it_was() -> None:
    before = dict(DefaultScope._instance_dict)
    check_build(recipe({}, data_preprocessor={'type': 'ImgDataPreprocessor'}), splits=('train',))
    with pytest.raises(UserError):
        check_build(recipe({'width': 0}), splits=('train',))
    assert list(DefaultScope._instance_dict) == list(before)
    assert HOOKS.get('EMAHook') is not None


def test_the_config_handed_in_stays_as_it_is() -> None:
    cfg = recipe({}, data_preprocessor={'type': 'ImgDataPreprocessor'})
    check_build(cfg, splits=('train',))
    assert cfg.model == {'type': 'BuildCheckModel'}
