"""The second forward of a batch, which finds the first module with an output that is not finite, leaves no trace."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnest_mm.training.safety.non_finite import first_non_finite_module
from resnest_mm.training.safety.random_states import random_states
from tests.support.tiny_backbones import snapshot


class Draws(nn.Module):
    """Draws from each generator, as the samplers of detectors do."""

    def forward(self, x: Tensor) -> Tensor:
        return x * random.random() * np.random.rand() * torch.rand(())


def test_the_second_forward_changes_no_statistics_and_no_random_state() -> None:
    """In mixed precision the training may go on after it."""
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), Draws(), nn.Conv2d(1, 1, 1))
    with torch.no_grad():
        model[3].weight.fill_(float('inf'))  # type: ignore[union-attr, operator]
    images = torch.rand(2, 1, 4, 4)
    before, states = snapshot(model), random_states()
    found = first_non_finite_module(model, (images,), {})
    assert found == '3 (Conv2d; not finite in it: weight)'
    after: dict[str, Any] = random_states()
    assert [name for name, value in states.items() if not torch.equal(value, after[name])] == []
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
