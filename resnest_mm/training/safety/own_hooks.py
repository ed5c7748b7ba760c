"""Adding the hooks of this package that every training has."""

from __future__ import annotations

import copy
from typing import Final

from mmengine.config import Config, ConfigDict

from resnest_mm.training.config.walk import type_name

EVERY_TRAINING: Final = ('ExactResumeHook', 'NonFiniteGuardHook')
"""Hooks of this package for every training, at the end of `custom_hooks`."""


def apply_own_hooks(cfg: Config) -> Config:
    """Return a copy whose `custom_hooks` have each hook of `EVERY_TRAINING`; one that the config has does not change.

    Args:
        cfg: Parsed config.
    """
    changed = copy.deepcopy(cfg)
    hooks = list(changed.get('custom_hooks') or ())
    present = {type_name(hook) if isinstance(hook, dict) else type(hook).__name__ for hook in hooks}
    hooks += [ConfigDict(type=f'resnest_mm.{name}') for name in EVERY_TRAINING if name not in present]
    changed.custom_hooks = hooks
    return changed
