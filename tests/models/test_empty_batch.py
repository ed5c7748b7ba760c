"""A batch without images gives empty feature maps and zero gradients, and changes no running statistic."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resnest_mm.models import SplitAttention
from tests.support.tiny_backbones import changed, image, snapshot, tiny

CONTEXT: dict[str, Any] = {'cfg': {'type': 'ContextBlock', 'ratio': 0.25}, 'position': 'after_conv2'}
NON_LOCAL: dict[str, Any] = {'cfg': {'type': 'NonLocal2d', 'sub_sample': True}, 'position': 'after_conv3'}

VARIANTS: dict[str, dict[str, Any]] = {
    'plain': {},
    'radix-1': {'radix': 1},
    'radix-4': {'radix': 4},
    'groups': {'groups': 2, 'base_width': 40},
    'pool-first': {'avd_first': True},
    'strided-convolutions': {'avg_down_stride': False},
    'dilated': {'strides': (1, 1), 'dilations': (1, 2)},
    'synchronised': {'norm_cfg': {'type': 'SyncBN'}},
    'naive': {'norm_cfg': {'type': 'resnest_mm.NaiveSyncBN'}},
    'untracked': {'norm_cfg': {'type': 'BN', 'track_running_stats': False}},
    'cumulative': {'norm_cfg': {'type': 'BN', 'momentum': None}},
    'no-affine': {'norm_cfg': {'type': 'BN', 'affine': False}},
    'group': {'norm_cfg': {'type': 'GN', 'num_groups': 4}},
    'instance': {'norm_cfg': {'type': 'IN'}},
    'tracked-instance': {'norm_cfg': {'type': 'IN', 'affine': True, 'track_running_stats': True}},
    'plugins': {'plugins': [CONTEXT, NON_LOCAL]},
    'checkpointing': {'with_cp': True},
    'drop-path': {'drop_path_rate': 0.5},
    'norm-eval': {'norm_eval': True},
}


def step(backbone: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    maps: tuple[Tensor, ...] = backbone(x)
    sum(y.sum() for y in maps).backward()
    return maps


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last], ids=['nchw', 'nhwc'])
@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
@pytest.mark.parametrize('arguments', VARIANTS.values(), ids=VARIANTS)
def test_empty_batch(arguments: dict[str, Any], training: bool, layout: torch.memory_format) -> None:
    backbone = tiny(26, num_stages=2, **arguments)
    backbone.load_state_dict(backbone.state_dict())
    backbone.train(training).to(memory_format=layout)
    before = snapshot(backbone)
    x = image(0, (33, 50)).to(memory_format=layout).requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        maps = step(backbone, x)
    sizes = [(-(-33 // stride), -(-50 // stride)) for stride in backbone.out_strides]
    assert [y.shape for y in maps] == [(0, c, *size) for c, size in zip(backbone.out_channels, sizes, strict=True)]
    assert changed(before, backbone) == set()
    gradients = {name: parameter.grad for name, parameter in backbone.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None or gradient.any()] == []
    assert x.grad.shape == x.shape


@pytest.mark.parametrize('kind', ['DCN', 'DCNv2'])
def test_empty_batch_of_deformable_convolutions(kind: str) -> None:
    pytest.importorskip('mmcv._ext')
    test_empty_batch({'dcn': {'type': kind}, 'stage_with_dcn': (False, True)}, True, torch.channels_last)


@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
def test_split_attention_alone(training: bool) -> None:
    layer = SplitAttention(8, 8).train(training)
    assert layer(image(0, (5, 6), channels=8)).shape == (0, 8, 5, 6)


def test_mixed_precision_keeps_its_type() -> None:
    backbone = tiny(num_stages=2).train()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert [y.dtype for y in step(backbone, image(0))] == [y.dtype for y in step(backbone, image(2))]


def test_training_goes_on_after_an_empty_batch() -> None:
    """The images after it give what they give without it."""
    backbone, other = tiny(num_stages=2).train(), tiny(num_stages=2).train()
    step(backbone, image(0))
    for one, two in zip(step(backbone, image(2)), step(other, image(2)), strict=True):
        assert torch.equal(one, two)
    assert changed(snapshot(other), backbone) == set()


def test_a_synchronised_norm_takes_part_when_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The norms of a process without images run, so that the others do not wait; the naive norm says why it stops."""
    backbone = tiny(num_stages=1, norm_cfg={'type': 'resnest_mm.NaiveSyncBN'}).train()
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.distributed, 'get_world_size', lambda group=None: 2)
    with pytest.raises(ValueError, match='has no values, and the other processes wait'):
        backbone(image(0))
