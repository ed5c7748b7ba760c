"""Small segmentors for the multi-scale sliding evaluation, in double precision so that an oracle can be exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmseg.structures import SegDataSample
from torch import Tensor

from tests.support.slide_oracle import Maps

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
BLACK = tuple(-mean / std for mean, std in zip(MEAN, STD, strict=True))


class DoublePreprocessor(BaseDataPreprocessor):
    """BGR to normalised RGB in double precision; pads where `test_cfg` says so, as mmseg's does."""

    test_cfg: dict[str, Any] | None = None

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        [image] = self.cast_data(data)['inputs']
        mean, std = (torch.tensor(values, dtype=torch.float64).view(3, 1, 1) for values in (MEAN, STD))
        image = (image.flip(0).double() - mean) / std
        if self.test_cfg:
            height, width = self.test_cfg['size']
            image = F.pad(image, (0, width - image.shape[2], 0, height - image.shape[1]))
        return {'inputs': image[None], 'data_samples': data.get('data_samples')}


class FakeSegmentor(BaseModel):
    """Logits that depend on the neighbourhood, on the distance to the crop's border, on the place in it, and on sides.

    Args:
        gain: Factor of the logits.
    """

    def __init__(self, *, gain: float = 1.0, out_channels: int = 4) -> None:
        super().__init__(data_preprocessor=DoublePreprocessor())
        random = torch.Generator().manual_seed(0)
        self.first = torch.randn(5, 3, 5, 5, generator=random, dtype=torch.float64) * 0.3
        self.second = torch.randn(out_channels, 5, 3, 3, generator=random, dtype=torch.float64) * 0.3
        self.ramp = torch.linspace(-0.5, 0.5, out_channels, dtype=torch.float64).view(1, -1, 1, 1)
        self.gain = gain
        self.out_channels = out_channels
        self.seen: list[Tensor] = []

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict[str, Any]]) -> Tensor:
        assert [meta['img_shape'] for meta in batch_img_metas] == [inputs.shape[2:]] * len(inputs)
        self.seen.append(inputs)
        return self.logits(inputs)

    def logits(self, inputs: Tensor) -> Tensor:
        features = F.conv2d(inputs, self.first, padding=2).relu()
        place = torch.linspace(0, 1, inputs.shape[3], dtype=inputs.dtype)
        place = place + torch.linspace(0, 3, inputs.shape[2], dtype=inputs.dtype).view(-1, 1)
        return (F.conv2d(features, self.second, padding=1) + self.ramp * place) * self.gain

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> Tensor:
        raise NotImplementedError

    def of_crop(self, crop: Maps) -> Maps:
        """The logits as the oracle asks for them."""
        return np.asarray(self.logits(torch.from_numpy(crop)[None])[0])


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Return random BGR pixels, uint8 [3, H, W]."""
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def normalised(image: Tensor) -> Maps:
    """Return the RGB image that the network sees, in double precision."""
    pixels = image.numpy().astype(np.float64)[::-1]
    return np.stack([(channel - mean) / std for channel, mean, std in zip(pixels, MEAN, STD, strict=True)])


def sample(height: int, width: int, **meta: Any) -> SegDataSample:
    return SegDataSample(metainfo={'ori_shape': (height, width), 'img_shape': (height, width), **meta})


def tiny_segmentor(*, size: int = 32, align_corners: bool = True, **head: Any) -> dict[str, Any]:
    """Return the config of a narrow ResNeSt-14 with an FCN head."""
    return {
        'type': 'EncoderDecoder',
        'data_preprocessor': {
            'type': 'SegDataPreProcessor',
            'mean': list(MEAN),
            'std': list(STD),
            'bgr_to_rgb': True,
            'size': (size, size),
        },
        'backbone': {
            'type': 'resnest_mm.ResNeSt',
            'depth': 14,
            'stem_channels': 8,
            'base_channels': 8,
            'strides': (1, 2, 1, 1),
            'dilations': (1, 1, 2, 4),
        },
        'decode_head': {
            'type': 'FCNHead',
            'in_channels': 256,
            'in_index': 3,
            'channels': 8,
            'num_convs': 1,
            'concat_input': False,
            'dropout_ratio': 0.1,
            'num_classes': 6,
            'norm_cfg': {'type': 'BN'},
            'align_corners': align_corners,
            'loss_decode': {'type': 'CrossEntropyLoss'},
            **head,
        },
        'train_cfg': {},
        'test_cfg': {'mode': 'whole'},
    }
