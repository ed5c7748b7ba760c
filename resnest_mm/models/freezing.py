"""Freeze parts of a backbone, or the running statistics of its norms, during training."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from torch import nn

from resnest_mm.models.layers.norm import has_running_stats


def freeze(parts: Iterable[nn.Module]) -> None:
    """Freeze parts: no gradients, and eval mode, so neither running statistics change nor paths are dropped."""
    for part in parts:
        part.eval()
        part.requires_grad_(False)


def keep_norms_in_eval_mode(backbone: nn.Module) -> None:
    """Put all norms with running statistics in eval mode; their weights and biases are still trained."""
    for module in backbone.modules():
        if has_running_stats(module):
            module.eval()


def warn_of_frozen_random_weights(*, frozen_stages: int, norm_eval: bool) -> bool:
    """Warn that parts without loaded weights are frozen, if any are, and return whether the warning was given.

    Args:
        frozen_stages: -1 for none, 0 for the stem, k for the stem and stages 1 to k.
        norm_eval: Whether all norms are kept in eval mode.
    """
    frozen = []
    if frozen_stages >= 0:
        frozen.append('the stem' + (f' and stages 1 to {frozen_stages}' if frozen_stages else ''))
    if norm_eval:
        frozen.append('the running statistics of all norms')
    if frozen:
        warnings.warn(
            f'frozen_stages={frozen_stages} and norm_eval={norm_eval} freeze {" and ".join(frozen)} of a ResNeSt that '
            'no weights were loaded into: they stay at their random or initial values. Give '
            'init_cfg=dict(type="Pretrained", checkpoint=...), or train with frozen_stages=-1 and norm_eval=False',
            stacklevel=4,
        )
    return bool(frozen)
