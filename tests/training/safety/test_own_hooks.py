"""Every config gets the hooks of this package that every training has; hooks of users stay."""

from __future__ import annotations

from typing import Any

import pytest
from mmengine.config import Config
from mmengine.hooks import EMAHook

from resnest_mm.registry import HOOKS
from resnest_mm.training.safety.own_hooks import EVERY_TRAINING, apply_own_hooks


@pytest.mark.parametrize('content', [{}, {'custom_hooks': None}, {'custom_hooks': [{'type': 'EMAHook'}]}])
def test_the_hooks_come_after_those_of_the_config(content: dict[str, Any]) -> None:
    """The registry knows all of them; the config that was handed in does not change."""
    cfg = Config(content)
    own = [{'type': f'resnest_mm.{name}'} for name in EVERY_TRAINING]
    assert apply_own_hooks(cfg).custom_hooks == [*(content.get('custom_hooks') or []), *own]
    assert cfg.to_dict() == content
    assert all(HOOKS.get(hook['type']) is not None for hook in own)


@pytest.mark.parametrize('name', EVERY_TRAINING)
def test_a_hook_that_the_config_has_is_not_added_again(name: str) -> None:
    """By name with or without scope, by class as in pure Python configs, and built."""
    for hook in ({'type': name}, {'type': f'resnest_mm.{name}'}, {'type': HOOKS.get(name)}, HOOKS.get(name)()):
        hooks = [hook, EMAHook()]
        added = apply_own_hooks(Config({'custom_hooks': hooks})).custom_hooks[len(hooks) :]
        assert {entry['type'] for entry in added} == {f'resnest_mm.{own}' for own in EVERY_TRAINING if own != name}
