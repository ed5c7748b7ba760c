"""Activation checkpointing that leaves running statistics alone when it computes a block again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.utils.checkpoint import checkpoint

from .norm import has_running_stats


def run_checkpointed(block: nn.Module, x: Tensor) -> Tensor:
    """Return `block(x)` without keeping its activations; the backward pass computes them again.

    A batch norm would count the batch a second time then. During that second forward pass its running statistics are
    switched off, which leaves its output in training as it was: it normalises by the batch.

    Args:
        block: Module to run.
        x: Its input.
    """

    def contexts() -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
        return contextlib.nullcontext(), _untracked(block)

    y: Tensor = checkpoint(block, x, use_reentrant=False, context_fn=contexts)
    return y


@contextlib.contextmanager
def _untracked(block: nn.Module) -> Iterator[None]:
    tracking = [m for m in block.modules() if has_running_stats(m) and m.training and m.track_running_stats]
    momenta = [m.momentum for m in tracking]
    for module in tracking:
        module.track_running_stats = False  # type: ignore[assignment]
        if isinstance(module, _InstanceNorm):  # it hands its statistics on whatever that switch says
            module.momentum = 0.0
    try:
        yield
    finally:
        for module, momentum in zip(tracking, momenta, strict=True):
            module.track_running_stats = True  # type: ignore[assignment]
            module.momentum = momentum
