"""A loss that is not finite in one of two processes stops both in the same iteration."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch
from mmengine.model import BaseModel, MMDistributedDataParallel
from torch import Tensor, nn

from resnest_mm.errors import RunError
from resnest_mm.training.hooks.non_finite_guard import NonFiniteGuardHook
from tests.support.processes import needs_processes, run_in_two_processes


class Line(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, inputs: Tensor, mode: str = 'tensor') -> dict[str, Tensor]:
        return {'loss_line': self.linear(inputs).square().sum()}


def train(folder: str, rank: int) -> list[str]:
    """Return what this process says at each of three iterations; process 1 gets an infinite input in the last."""
    torch.manual_seed(0)
    model = MMDistributedDataParallel(Line())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    runner = MagicMock(model=model, cfg={}, work_dir=folder)
    runner.log_processor.get_log_after_iter.return_value = ({}, '')
    hook = NonFiniteGuardHook()
    hook.before_train(runner)
    said = []
    for runner.iter in range(3):
        inputs = torch.full((1, 1), float('inf') if (runner.iter, rank) == (2, 1) else 1.0)
        hook.before_train_iter(runner, runner.iter)
        losses: Any = model(inputs, mode='loss')
        optimizer.zero_grad()
        losses['loss_line'].backward()
        optimizer.step()
        try:
            hook.after_train_iter(runner, runner.iter, outputs=losses)
        except RunError as error:
            said.append(str(error))
        else:
            said.append('')
    return said


@needs_processes
def test_both_processes_stop_in_the_same_iteration(tmp_path: Path) -> None:
    """The one with the infinite input names its loss and its module, the other one says that it was not its own."""
    first, second = run_in_two_processes(partial(train, str(tmp_path)), tmp_path)
    assert first[:2] == second[:2] == ['', '']
    assert 'the loss of iteration 3 is not finite: that of another process' in first[2]
    assert 'the loss of iteration 3 is not finite: loss_line is ' in second[2]
    assert 'linear (Linear; its input is not finite either)' in second[2]
