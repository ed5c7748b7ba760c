"""Narrow models with the keys of the released ones: detectors of detectron2, segmentors of PyTorch-Encoding."""

from __future__ import annotations

import dataclasses
import re

import torch
from torch import Tensor, nn

from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.convert.stock_heads import cell_anchors
from resnest_mm.weights.layouts.names import COUNTER
from tests.support import key_lists
from tests.support.tiny_backbones import scatter, tiny

FASTER = 'faster_rcnn_ResNeSt_50_FPN_syncbn_range-scale_1x'
DCN = 'faster_rcnn_ResNeSt_50_FPN_dcn_syncbn_range-scale_1x'
CASCADE = 'mask_cascade_rcnn_ResNeSt_50_FPN_syncBN_1x'
PANOPTIC = 'panoptic_ResNeSt_200_FPN_syncBN_tricks_3x'


def slim_detector(name: str) -> dict[str, Tensor]:
    """Return a released detector with random values, one block a stage and few channels."""
    generator = torch.Generator().manual_seed(0)
    state = key_lists.detector(dataclasses.replace(key_lists.DETECTORS[name], depth=50))
    return {key: _small(key, value, generator) for key, value in state.items() if not re.search(r'res\d\.[1-9]', key)}


def _small(key: str, value: Tensor, generator: torch.Generator) -> Tensor:
    if key.endswith(COUNTER):
        return torch.tensor(3)
    if 'cell_anchors' in key:
        return cell_anchors(torch.zeros(3))[key]
    if key.endswith('fc1.weight') and value.dim() == 2:
        return torch.rand((64, 16 * 49), generator=generator)
    kept = {81: 11, 320: 40, 80: 10, 54: 54, 12: 12}
    shape = [kept.get(size, size if size < 16 else size // 16) for size in value.shape]
    return torch.rand(shape, generator=generator)


def _conv_norm(inputs: int, outputs: int, kernel: int = 3) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


def fcn_heads(*, auxiliary: bool = True) -> nn.ModuleDict:
    """Return the heads of PyTorch-Encoding's FCN for a narrow backbone, in evaluation."""
    torch.manual_seed(0)
    heads = {'head': (512, 128), 'auxlayer': (256, 64)} if auxiliary else {'head': (512, 128)}
    modules = nn.ModuleDict(
        {
            name: nn.ModuleDict(
                {'conv5': nn.Sequential(*_conv_norm(inputs, width), nn.Dropout(0.1), nn.Conv2d(width, 5, 1))}
            )
            for name, (inputs, width) in heads.items()
        }
    )
    scatter(modules)
    return modules.eval()


def slim_segmentor(heads: nn.Module) -> dict[str, Tensor]:
    """Return a segmentor in PyTorch-Encoding's layout, with a narrow backbone."""
    backbone = tiny()
    scatter(backbone)
    return {**convert_backbone(backbone.state_dict(), target='encoding'), **heads.state_dict()}
