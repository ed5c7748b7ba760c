"""Building the model and looking up every type before the Runner does, so that a wrong config writes no work_dir."""

from __future__ import annotations

import copy
import difflib
import importlib
import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    METRICS,
    MODELS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    DefaultScope,
    Registry,
)

from resnest_mm.errors import UserError, one_line
from resnest_mm.training.config.walk import is_own, iter_datasets

_EXTRAS = {'mmdet': 'det', 'mmseg': 'seg'}


def check_build(cfg: Config, *, splits: Sequence[str]) -> Any:
    """Refuse a config whose framework is missing, whose types are unknown, or whose parts cannot be built.

    Built are the model, on the CPU, and the hooks and transforms of this package. The largest model takes about a
    second. mmengine's default scope is restored afterwards.

    Args:
        cfg: Parsed config.
        splits: Which of `train`, `val` and `test` the run uses.

    Returns:
        The model, without its initialisation.

    Raises:
        UserError: The framework of `default_scope` is not installed or does not import, a type is not registered, or
            a constructor refuses its arguments.
    """
    scope = cfg.get('default_scope') or 'mmengine'
    _check_host(scope)
    with warnings.catch_warnings(), DefaultScope.overwrite_default_scope(scope):
        # The Runner builds everything again and shows the warnings then.
        warnings.simplefilter('ignore')
        for registry, key, node in _typed(cfg, splits):
            _check_type(registry, key, node)
            if registry in (HOOKS, TRANSFORMS) and is_own(node):
                # Constructors of other packages may read files or start processes; ours only check their arguments.
                _build(registry, {name: value for name, value in node.items() if name != 'priority'}, what=key)
        model = copy.deepcopy(cfg.model)
        if cfg.get('data_preprocessor') is not None:
            model.setdefault('data_preprocessor', copy.deepcopy(cfg.data_preprocessor))
        return _build(MODELS, model, what='the model')


def _check_host(scope: str) -> None:
    if importlib.util.find_spec(scope) is None:
        package = f'resnest_mm[{_EXTRAS[scope]}]' if scope in _EXTRAS else scope
        raise UserError(f"default_scope {scope!r} of the config is not installed; pip install '{package}'")
    try:
        importlib.import_module(f'{scope}.registry')
    except (ImportError, AssertionError) as error:
        # mmdet and mmseg assert the version of mmcv.
        hint = 'python -m resnest_mm.check prints a fix'
        raise UserError(f'{scope} cannot be imported: {one_line(error)}; {hint}') from error


def _typed(cfg: Config, splits: Sequence[str]) -> Iterator[tuple[Registry, str, Any]]:
    """Yield the registry, dotted key and config of every part that the Runner builds besides the model."""
    for split in splits:
        loader = cfg.get(f'{split}_dataloader') or {}
        for key, dataset in iter_datasets(loader.get('dataset'), f'{split}_dataloader.dataset', wrappers=True):
            yield DATASETS, key, dataset
            yield from _each(TRANSFORMS, f'{key}.pipeline', dataset.get('pipeline'))
        for name in ('sampler', 'batch_sampler'):
            yield DATA_SAMPLERS, f'{split}_dataloader.{name}', loader.get(name)
        evaluator = cfg.get(f'{split}_evaluator')
        metrics = evaluator['metrics'] if isinstance(evaluator, dict) and 'metrics' in evaluator else evaluator
        yield from _each(METRICS, f'{split}_evaluator', metrics)
    for name, hook in (cfg.get('default_hooks') or {}).items():
        yield HOOKS, f'default_hooks.{name}', hook
    yield from _each(HOOKS, 'custom_hooks', cfg.get('custom_hooks'))
    if 'train' in splits:
        yield OPTIMIZERS, 'optim_wrapper.optimizer', (cfg.get('optim_wrapper') or {}).get('optimizer')
        yield from _each(PARAM_SCHEDULERS, 'param_scheduler', cfg.get('param_scheduler'))


def _each(registry: Registry, key: str, nodes: Any) -> Iterator[tuple[Registry, str, Any]]:
    for index, node in enumerate(nodes if isinstance(nodes, (list, tuple)) else [nodes]):
        yield registry, f'{key}.{index}' if isinstance(nodes, (list, tuple)) else key, node


def _build(registry: Registry, node: Any, *, what: str) -> Any:
    try:
        return registry.build(copy.deepcopy(node))
    except (TypeError, ValueError, KeyError, AssertionError, AttributeError, ImportError) as error:
        raise UserError(f'{what} cannot be built: {type(error).__name__}: {one_line(error)}') from error


def _check_type(root: Registry, key: str, node: Any) -> None:
    name = node.get('type') if isinstance(node, dict) else None
    if not isinstance(name, str):
        return
    with root.switch_scope_and_registry(node.get('_scope_')) as registry:
        if registry.get(name) is not None:
            return
        near = difflib.get_close_matches(name, [*registry.module_dict, *root.module_dict], n=1)
        hint = f'did you mean {near[0]!r}?' if near else 'check its spelling, its scope and custom_imports'
        raise UserError(f'{key}.type={name!r} is not in the {registry.scope}::{registry.name} registry; {hint}')
