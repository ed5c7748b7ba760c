"""Putting SafeCheckpointHook in the place of mmengine's CheckpointHook in any config."""

from __future__ import annotations

import copy
from typing import Any, Final

from mmengine.config import Config, ConfigDict
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS, DefaultScope

SAFE: Final = 'resnest_mm.SafeCheckpointHook'


def apply_safe_checkpoints(cfg: Config) -> Config:
    """Return a copy in which each CheckpointHook of mmengine is a `resnest_mm.SafeCheckpointHook` with its arguments.

    mmengine adds a CheckpointHook to a config that has none; then this adds the safe one. A hook of another class, a
    class derived from mmengine's, and `checkpoint=None`, which saves nothing, do not change.

    Args:
        cfg: Parsed config.
    """
    changed = copy.deepcopy(cfg)
    scope = cfg.get('default_scope') or 'mmengine'
    if changed.get('default_hooks') is None:
        changed.default_hooks = {}
    hooks = changed.default_hooks
    # mmengine takes these arguments where the config names no hook.
    hooks.setdefault('checkpoint', ConfigDict(type=SAFE, interval=1))
    for hook in (hooks['checkpoint'], *(changed.get('custom_hooks') or ())):
        if isinstance(hook, dict) and _is_checkpoint_hook(hook, scope):
            hook['type'] = SAFE
            hook.pop('_scope_', None)
    return changed


def _is_checkpoint_hook(hook: dict[str, Any], scope: str) -> bool:
    kind = hook.get('type')
    if isinstance(kind, str) and kind.rpartition('.')[2] == CheckpointHook.__name__:
        with DefaultScope.overwrite_default_scope(scope), HOOKS.switch_scope_and_registry(hook.get('_scope_')) as found:
            kind = found.get(kind)
    return kind is CheckpointHook
