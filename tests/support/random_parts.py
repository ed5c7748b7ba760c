"""A model and data of a few lines that draw random numbers wherever a training can."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import HOOKS, MODELS, TRANSFORMS
from torch import Tensor, nn


@MODELS.register_module()
class RandomModel(BaseModel):
    """Dropout, and a random choice of positions as detectors make it; a batch norm whose statistics depend on both."""

    def __init__(self, data_preprocessor: Any = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(4, 1)

    def forward(self, inputs: list[Tensor], label: list[float], mode: str = 'tensor') -> Any:
        x = self.dropout(self.norm(self.conv(torch.stack(inputs))).relu()).flatten(2)
        if mode == 'loss':
            x = x[..., torch.randperm(x.shape[-1])[:8]] * (1 + 0.1 * np.random.rand() + 0.1 * random.gauss(0, 1))
        scores = self.head(x.mean(-1)).flatten()
        if mode == 'loss':
            return {'loss': (scores - torch.tensor(label)).square().mean()}
        return [{'score': float(score), 'label': value} for score, value in zip(scores, label, strict=True)]


@TRANSFORMS.register_module()
class RandomLoad:
    """Adds noise from each of the three generators."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        image = torch.from_numpy(np.load(results['img_path']))
        noise = torch.rand(image.shape) + float(np.random.rand()) + random.random()
        return {'inputs': image + noise, 'label': results['label']}


class Killed(Exception):
    """Ends a training as a kill does: no hook after it runs, and nothing is saved."""


@HOOKS.register_module()
class KillHook(Hook):
    """Raise `Killed` after an iteration, or in the validation after it.

    Args:
        after: Number of the iteration, from 1.
        validating: Whether to wait for the validation that follows.
    """

    priority = 'LOWEST'

    def __init__(self, *, after: int, validating: bool = False) -> None:
        self.after = after
        self.validating = validating

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if not self.validating and runner.iter + 1 == self.after:
            raise Killed

    def before_val_epoch(self, runner: Any) -> None:
        if self.validating and runner.iter == self.after:
            raise Killed


@HOOKS.register_module()
class SeenHook(Hook):
    """Write the number and the labels of each iteration to `seen.txt` in the current folder."""

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        with Path('seen.txt').open('a') as file:
            print(runner.iter, *(float(label) for label in data_batch['label']), file=file)
