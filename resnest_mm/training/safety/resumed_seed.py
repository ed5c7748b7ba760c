"""The random seed of a resumed training whose config sets none: that of the training before."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from resnest_mm.training.checks.checkpoints import is_remote


def apply_resumed_seed(cfg: Config) -> Config:
    """Return a copy with the seed of the checkpoint that is resumed, where the config has no `randomness.seed`.

    mmengine restores this seed only after it has built the sampler, which would then shuffle in another order, so that
    images of an interrupted epoch were seen twice.

    Args:
        cfg: Parsed config, after `apply_newest_checkpoint`, and after `check_start` accepted the checkpoint.
    """
    changed = copy.deepcopy(cfg)
    randomness = changed.get('randomness') or {}
    path = cfg.get('load_from')
    if not cfg.get('resume') or path is None or is_remote(str(path)) or randomness.get('seed') is not None:
        return changed
    content: Any = torch.load(Path(path).expanduser(), map_location='cpu', weights_only=True)
    seed = (content.get('meta') or {}).get('seed') if isinstance(content, dict) else None
    if isinstance(seed, int):
        changed.randomness = {**randomness, 'seed': seed}
    return changed
