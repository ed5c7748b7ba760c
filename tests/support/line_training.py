"""A training with mmengine's Runner, as short as can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner

from tests.support.tool_runs import forget_runs


class Line(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, inputs: list[torch.Tensor], mode: str = 'tensor') -> dict[str, torch.Tensor]:
        return {'loss': (self.weight * torch.stack(inputs)).square().mean()}


def train_a_line(work_dir: Path) -> None:
    """Train one weight for two iterations, and leave `iter_2.pth` and the other files of mmengine in `work_dir`."""
    runner = Runner(
        model=Line(),
        work_dir=str(work_dir),
        train_dataloader={
            'batch_size': 1,
            'num_workers': 0,
            'dataset': [{'inputs': torch.ones(1)}] * 2,
            'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        },
        train_cfg={'by_epoch': False, 'max_iters': 2},
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1}},
        default_hooks={'checkpoint': {'type': 'CheckpointHook', 'interval': 2, 'by_epoch': False}},
        experiment_name='test_checkpoints',
        log_level='ERROR',
    )
    runner.message_hub.update_info('best_score', np.float64(0.75))
    runner.train()
    forget_runs()
