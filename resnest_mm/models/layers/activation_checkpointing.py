"""Activation checkpointing that leaves running statistics alone when it computes a block again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from resnest_mm.models.layers.norm import has_running_stats


def run_checkpointed(block: nn.Module, x: Tensor) -> Tensor:
    """Return `block(x)` without keeping its activations; the backward pass computes them again.

    A batch norm would count the batch a second time then. During that second forward pass it writes its running
    statistics into copies, which its output in training does not depend on.

    Args:
        block: Module to run.
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
