"""A stage: a sequence of bottlenecks, with or without activation checkpointing."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from resnest_mm.models.bottleneck import Bottleneck
from resnest_mm.models.layers.activation_checkpointing import run_checkpointed


class Stage(nn.Sequential):
    """A sequence of bottlenecks, numbered from 0 as in the keys of checkpoints.

    Args:
        blocks: The bottlenecks.
        with_cp: Whether activations are recomputed in the backward pass instead of stored. This has no effect in a
            compiled graph: the compiler decides itself which activations to recompute.
    """

    def __init__(self, blocks: Iterable[Bottleneck], *, with_cp: bool) -> None:
        super().__init__(*blocks)
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> Tensor:
        """Return the last bottleneck's output."""
        recompute = self.with_cp and torch.is_grad_enabled() and not torch.compiler.is_compiling()
        for block in self:
            x = run_checkpointed(block, x) if recompute else block(x)
        return x
