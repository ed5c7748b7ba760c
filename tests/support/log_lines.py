"""Log lines as mmengine writes them."""

from __future__ import annotations

from typing import Any


def train_line(iteration: int, *, loss: float = 1.0, time: float = 0.5, lr: float = 0.01) -> dict[str, Any]:
    return {'lr': lr, 'data_time': 0.1, 'loss': loss, 'time': time, 'iter': iteration, 'step': iteration}


def coco_line(step: int, *values: float) -> dict[str, Any]:
    names = ('coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/bbox_mAP_75')
    return {**dict(zip(names, values, strict=True)), 'coco/bbox_mAP_s': -1.0, 'step': step}


def stamped(clock: str, message: str) -> str:
    return f'2030/01/02 {clock} - mmengine - INFO - {message}'
