"""Activation checkpointing whose second forward pass is the first one again, and changes no running statistics."""

from __future__ import annotations

import contextlib
from types import TracebackType

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from resnest_mm.models.layers.norm import has_running_stats


def run_checkpointed(block: nn.Module, x: Tensor) -> Tensor:
    """Return `block(x)` without storing its activations; each backward pass recomputes them.

    A recomputation would update running statistics again. Norms therefore have copies of their statistics in it, made
    before the first pass. Modules are in the mode of the first pass, also if the model was put in another mode
    since.

    Args:
        block: The module to run.
        x: Its input.
    """
    y: Tensor = checkpoint(
        block, x, use_reentrant=False, context_fn=lambda: (contextlib.nullcontext(), _AsInFirstPass(block))
    )
    return y


class _AsInFirstPass:
    # A class, because a generator can be entered only once, and a graph can have several backward passes.

    def __init__(self, block: nn.Module) -> None:
        self.modes = [(module, module.training) for module in block.modules()]
        norms = [module for module in block.modules() if has_running_stats(module)]
        self.copies = [
            (norm, name, buffer.clone()) for norm in norms for name, buffer in norm.named_buffers(recurse=False)
        ]
        self.restore = contextlib.ExitStack()

    def __enter__(self) -> None:
        for module, training in self.modes:
            self.restore.callback(setattr, module, 'training', module.training)
            module.training = training
        for norm, name, copy in self.copies:
            self.restore.callback(setattr, norm, name, getattr(norm, name))
            setattr(norm, name, copy)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.restore.close()
