"""Every config whose checkpoints mmengine saves gets the safe hook with the same arguments; hooks of users stay."""

from __future__ import annotations

from typing import Any

import pytest
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS

from resnest_mm.training.safety.checkpoint_hook import SAFE, apply_safe_checkpoints


class OwnHook(CheckpointHook):
    pass


@pytest.mark.parametrize('kind', ['CheckpointHook', 'mmengine.CheckpointHook', CheckpointHook])
def test_mmengines_hook_is_replaced_with_its_arguments(kind: Any) -> None:
    """By name, by name with scope, and by class as in pure Python configs; also a second one in custom_hooks."""
    hook = {'type': kind, 'interval': 2, 'save_best': ['a', 'b'], 'rule': 'less', 'max_keep_ckpts': 3}
    cfg = Config({'default_hooks': {'checkpoint': hook}, 'custom_hooks': [hook, {'type': 'EMAHook'}]})
    changed = apply_safe_checkpoints(cfg)
    assert changed.default_hooks.checkpoint == {**hook, 'type': SAFE}
    assert changed.custom_hooks == [{**hook, 'type': SAFE}, {'type': 'EMAHook'}]
    assert cfg.default_hooks.checkpoint == hook


@pytest.mark.parametrize('content', [{}, {'default_hooks': None}, {'default_hooks': {'timer': {'type': 'T'}}}])
def test_the_hook_that_mmengine_adds_is_the_safe_one(content: dict[str, Any]) -> None:
    """mmengine gives a CheckpointHook with interval 1 to a config that names none."""
    changed = apply_safe_checkpoints(Config(content))
    assert changed.default_hooks.checkpoint == {'type': SAFE, 'interval': 1}


def test_other_hooks_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class derived from mmengine's, one that was registered under its name, and none at all."""
    for hook in ({'type': OwnHook}, {'type': 'EMAHook'}, None):
        cfg = Config({'default_hooks': {'checkpoint': hook}})
        assert apply_safe_checkpoints(cfg).to_dict() == cfg.to_dict()
    monkeypatch.setitem(HOOKS.module_dict, 'CheckpointHook', OwnHook)
    cfg = Config({'default_hooks': {'checkpoint': {'type': 'CheckpointHook'}}})
    assert apply_safe_checkpoints(cfg).to_dict() == cfg.to_dict()
