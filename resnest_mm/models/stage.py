"""A stage: bottlenecks in a row, with or without activation checkpointing."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from resnest_mm.models.bottleneck import Bottleneck
from resnest_mm.models.layers.activation_checkpointing import run_checkpointed


class Stage(nn.Sequential):
    """The bottlenecks of one resolution, numbered from 0 as in the checkpoints.

    Args:
        blocks: The bottlenecks.
        with_cp: Whether each block's activations are computed again in the backward pass instead of kept. A compiled
            graph does not, because the compiler chooses by itself what to compute again.
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
