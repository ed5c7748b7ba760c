"""Options of `tools/train.py` that change its config: mixed precision, learning rate, resuming, partial weights."""

from __future__ import annotations

import copy

from mmengine.config import Config
from mmengine.device import get_device

from resnest_mm.errors import UserError
from resnest_mm.paths import expand_home
from resnest_mm.training.config.walk import type_name


def apply_amp(cfg: Config) -> Config:
    """Return a copy that trains in mixed precision with a dynamic loss scale.

    Raises:
        UserError: No GPU, no optim_wrapper, or one that is neither OptimWrapper nor AmpOptimWrapper.
    """
    if get_device() == 'cpu':
        raise UserError('--amp needs a GPU: mmengine trains in mixed precision on accelerators only; leave --amp out')
    wrapper = cfg.get('optim_wrapper')
    if not isinstance(wrapper, dict):
        raise UserError('--amp: the config has no optim_wrapper')
    kind = wrapper.get('type', 'OptimWrapper')
    name = kind if isinstance(kind, str) else getattr(kind, '__name__', str(kind))
    if name.rpartition('.')[2] not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise UserError(
            f'--amp replaces optim_wrapper.type OptimWrapper only, and the config has {name}; leave --amp out'
        )
    changed = copy.deepcopy(cfg)
    changed.optim_wrapper.type = 'AmpOptimWrapper'
    changed.optim_wrapper.loss_scale = 'dynamic'
    return changed


def apply_auto_scale_lr(cfg: Config) -> Config:
    """Return a copy in which mmengine scales the learning rate by real batch size / `base_batch_size`.

    Raises:
        UserError: `auto_scale_lr` lacks `enable` or `base_batch_size`.
    """
    settings = cfg.get('auto_scale_lr')
    lacking = [key for key in ('enable', 'base_batch_size') if not isinstance(settings, dict) or key not in settings]
    if lacking:
        raise UserError(
            f'--auto-scale-lr: the config has no auto_scale_lr.{lacking[0]}; '
            'add auto_scale_lr=dict(enable=False, base_batch_size=<images per step its lr was chosen for>)'
        )
    changed = copy.deepcopy(cfg)
    changed.auto_scale_lr.enable = True
    return changed


def apply_resume(cfg: Config, resume: str | None) -> Config:
    """Return a copy that resumes from a checkpoint.

    Args:
        cfg: Parsed config.
        resume: `'auto'` for the last checkpoint of the work_dir, the path of a checkpoint, or None for no change.
    """
    changed = copy.deepcopy(cfg)
    if resume is not None:
        changed.resume = True
        changed.load_from = None if resume == 'auto' else expand_home(resume)
    return changed


def apply_partial(cfg: Config) -> Config:
    """Return a copy that can start from a checkpoint which does not fill the model.

    mmengine loads such a checkpoint, but its EMAHook ends the run if `strict_load` is set.

    Args:
        cfg: Parsed config.
    """
    changed = copy.deepcopy(cfg)
    for hook in changed.get('custom_hooks') or []:
        if isinstance(hook, dict) and type_name(hook) == 'EMAHook':
            hook['strict_load'] = False
    return changed
