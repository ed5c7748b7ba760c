"""Which parts of a backbone stand still in training."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from resnest_mm.models.layers.norm import has_running_stats


def freeze(parts: Iterable[nn.Module]) -> None:
    """Stop gradients, running statistics and everything random in `parts`."""
    for part in parts:
        part.eval()
        part.requires_grad_(False)


def stop_running_stats(backbone: nn.Module) -> None:
    """Put all norms that keep running statistics in eval mode; their affine parameters still train."""
    for module in backbone.modules():
        if has_running_stats(module):
            module.eval()


def describe_frozen(*, frozen_stages: int, norm_eval: bool) -> str:
    """Return in words what stands still, an empty text where nothing does.

    Args:
        frozen_stages: -1 for none, 0 for the stem, k for the stem and stages 1 to k.
        norm_eval: Whether all running statistics stand still.
    """
    frozen = []
    if frozen_stages >= 0:
        frozen.append('the stem' + (f' and stages 1 to {frozen_stages}' if frozen_stages else ''))
    if norm_eval:
        frozen.append('the running statistics of all norms')
    return ' and '.join(frozen)
