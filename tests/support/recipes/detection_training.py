"""How a detection config really trains: its optimiser, its length, what follows it, and whose numbers it names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS
from mmengine.runner.priority import get_priority
from torch.nn.modules.batchnorm import _BatchNorm

from tests.support.metafiles import entry_of, first_metrics
from tests.support.recipes.detection_heads import name_of
from tests.support.shipped_configs import name_of as config_name


def observe_optimizer(cfg: Config, model: Any) -> Iterator[tuple[str, Any]]:
    """Yield with which rate and decay each parameter is trained."""
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    optimizer = wrapper.optimizer
    group_of = {id(parameter): group for group in optimizer.param_groups for parameter in group['params']}
    yield 'optimiser', (name_of(wrapper), name_of(optimizer))
    (common,) = {(group['momentum'], group['dampening'], group['nesterov']) for group in optimizer.param_groups}
    yield 'optimiser: momentum, dampening, nesterov', common
    trained = {name: group_of.get(id(entry)) for name, entry in model.named_parameters() if entry.requires_grad}
    yield 'optimiser: trained parameters left out', sum(group is None for group in trained.values())
    yield 'optimiser: rates', {group['lr'] for group in trained.values()}
    without = sum(group['weight_decay'] == 0 for group in trained.values())
    yield 'optimiser: trained parameters, those without weight decay', (len(trained), without)
    norms = {
        f'{name}.{key}'
        for name, layer in model.named_modules()
        if isinstance(layer, _BatchNorm)
        for key, _ in layer.named_parameters()
    } & trained.keys()
    biases = {name for name in trained if name.endswith('.bias')} - norms
    rest = trained.keys() - norms - biases
    for what, names in (('norms', norms), ('biases', biases), ('the other parameters', rest)):
        yield f'optimiser: weight decay of {what}', {trained[name]['weight_decay'] for name in names}
    yield 'optimiser: clipping, accumulated steps', (wrapper.clip_grad_kwargs or None, wrapper._accumulative_counts)
    yield 'optimiser: batch size that its rate is for', cfg.auto_scale_lr.base_batch_size


def observe_schedule(cfg: Config) -> Iterator[tuple[str, Any]]:
    """Yield how long a training is; the rates have a test of their own."""
    yield 'schedule: loop', cfg.train_cfg.type
    yield 'schedule: iterations, between evaluations', (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval)
    assert cfg.default_hooks.checkpoint.by_epoch is False
    yield 'schedule: counts epochs', any(entry.by_epoch for entry in cfg.param_scheduler)
    yield 'DDP: own settings', cfg.get('model_wrapper_cfg')


def observe_hooks(cfg: Config) -> Iterator[tuple[str, Any]]:
    """Yield what measures the running statistics after the last iteration."""
    hooks = [HOOKS.build(entry) for entry in cfg.get('custom_hooks', []) if entry.type == 'resnest_mm.PreciseBNHook']
    yield 'PreciseBN: iterations, once in the list of hooks', tuple(hook.num_iters for hook in hooks)
    last = get_priority(CheckpointHook.priority)
    yield 'PreciseBN: before the checkpoint', all(get_priority(hook.priority) < last for hook in hooks)


def observe_published(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the released model that the docstring names, and the published numbers of the metafile."""
    from resnest_mm.weights.records.lookup import RECORDS

    text = ' '.join((ast.get_docstring(ast.parse(path.read_text())) or '').split())
    model = re.search(r'`(\w*(?:rcnn|panoptic)_ResNeSt_\w+(?:-scale[_-]1x)?)`', text)
    assert model
    record = RECORDS[f'detectron2/{model[1]}']
    entry = entry_of(config_name(path))
    assert entry.record == record.name
    yield 'published: model, hash in the name of its file', (model[1], record.digest)
    yield 'published: in per cent', tuple(first_metrics(entry).values())
