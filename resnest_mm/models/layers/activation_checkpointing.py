"""Activation checkpointing that updates running statistics once, although the block runs twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from resnest_mm.models.layers.norm import has_running_stats


def run_checkpointed(block: nn.Module, x: Tensor) -> Tensor:
    """Return `block(x)` without storing its activations; the backward pass recomputes them.

    The second forward pass would update running statistics again. Norms therefore update copies of them in that pass;
    their output in training does not depend on running statistics.

    Args:
        block: The module to run.
        x: Its input.
    """

    def contexts() -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
        return contextlib.nullcontext(), _statistics_in_copies(block)

    y: Tensor = checkpoint(block, x, use_reentrant=False, context_fn=contexts)
    return y


@contextlib.contextmanager
def _statistics_in_copies(block: nn.Module) -> Iterator[None]:
    norms = [module for module in block.modules() if has_running_stats(module) and module.training]
    originals = [(norm, name, buffer) for norm in norms for name, buffer in norm.named_buffers(recurse=False)]
    for norm, name, buffer in originals:
        setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, name, buffer in originals:
            setattr(norm, name, buffer)
