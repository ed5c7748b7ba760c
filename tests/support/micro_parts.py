"""A model, transform and metric of a few lines, so that the tools can be run without a detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.cnn import build_norm_layer
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from torch import Tensor


@MODELS.register_module()
class MicroModel(BaseModel):
    def __init__(
        self,
        *,
        norm_cfg: Any,
        width: int = 2,
        backbone: Any = None,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if width < 1:
            raise ValueError(f'width={width} must be at least 1')
        self.conv = torch.nn.Conv2d(1, width, 1)
        self.norm = build_norm_layer(norm_cfg, width)[1]
        self.backbone = MODELS.build(backbone) if backbone else None

    def forward(self, inputs: list[Tensor], label: list[float], mode: str = 'tensor') -> Any:
        scores = self.norm(self.conv(torch.stack(inputs))).mean((1, 2, 3))
        if mode == 'loss':
            return {'loss': (scores + self.conv.bias.sum() - torch.tensor(label)).square().mean()}
        return [{'score': float(score), 'label': value} for score, value in zip(scores, label, strict=True)]


@DATASETS.register_module()
class MicroDataset(BaseDataset):
    pass


@TRANSFORMS.register_module()
class MicroLoad:
    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        return {'inputs': torch.from_numpy(np.load(results['img_path'])), 'label': results['label']}


@METRICS.register_module()
class MicroMetric(BaseMetric):
    def __init__(self, ann_file: str | None = None) -> None:
        super().__init__()

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        self.results.extend(data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {'seen': float(len(results)), 'score': float(sum(result['score'] for result in results))}
