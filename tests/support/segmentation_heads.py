"""Small heads and segmentors with known random weights."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from tests.support.tiny_backbones import scatter

IN_CHANNELS = 6
DEEPLAB: dict[str, Any] = dict(
    type='resnest_mm.DeepLabV3Head', in_channels=IN_CHANNELS, channels=4, rates=(1, 2, 3), num_classes=3
)
FCN: dict[str, Any] = dict(type='resnest_mm.FCNHead', in_channels=IN_CHANNELS, channels=4, num_classes=3)
AUXILIARY_LOSS = dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=0.2)
NO_DROPOUT: dict[str, dict[str, Any]] = {
    DEEPLAB['type']: dict(dropout_ratio=0.0, project_dropout_ratio=0.0),
    FCN['type']: dict(dropout_ratio=0.0),
}


def build(config: dict[str, Any], **changes: Any) -> nn.Module:
    """Return what a config describes in mmseg's scope, its weights the same every time."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model: nn.Module = MODELS.build(ConfigDict({**config, **changes}))
    scatter(model)
    return model


def without_dropout(config: dict[str, Any], **changes: Any) -> nn.Module:
    """Return a head in double precision that computes the same every time, in training too."""
    return build(config, **NO_DROPOUT[config['type']], **changes).double()


def maps(batch: int = 2, size: tuple[int, int] = (5, 6), *, seed: int = 1) -> list[Tensor]:
    """Return three maps of which a head with `IN_CHANNELS` reads the last."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, channels, *size, generator=generator, dtype=torch.float64)
        for channels in (2, 4, IN_CHANNELS)
    ]


def samples(labels: Tensor) -> list[SegDataSample]:
    """Return mmseg's samples with labels [N, H, W]."""
    meta = dict(img_shape=labels.shape[1:], ori_shape=labels.shape[1:], pad_shape=labels.shape[1:], flip=False)
    return [SegDataSample(gt_sem_seg=PixelData(data=label[None]), metainfo=dict(meta)) for label in labels]


def segmentor(decode_head: dict[str, Any], *, base_channels: int = 8, **changes: Any) -> nn.Module:
    """Return a narrow dilated segmentor with an auxiliary head, output stride 8 and three classes."""
    c5 = base_channels * 32
    return build(
        dict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor'),
            backbone=dict(
                type='resnest_mm.ResNeSt',
                depth=14,
                stem_channels=8,
                base_channels=base_channels,
                strides=(1, 2, 1, 1),
                dilations=(1, 1, 2, 4),
            ),
            decode_head={**decode_head, 'in_channels': c5},
            auxiliary_head={**FCN, 'in_channels': c5 // 2, 'in_index': 2, 'loss_decode': AUXILIARY_LOSS},
            test_cfg=dict(mode='whole'),
        ),
        **changes,
    )
