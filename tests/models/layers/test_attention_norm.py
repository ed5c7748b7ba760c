"""With every norm, the attention depends on the image and gets gradients."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resnest_mm.models import SplitAttention
from tests.support.tiny_backbones import image, tiny

GROUP_NORM: dict[str, Any] = {'type': 'GN', 'num_groups': 32}


def gates(backbone: Any, x: Tensor) -> Tensor:
    """Return the attention of the first block."""
    found: list[Tensor] = []
    handle = backbone.layer1[0].conv2.fc2.register_forward_hook(lambda _m, _i, output: found.append(output.detach()))
    backbone(x)
    handle.remove()
    return found[0]


@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
@pytest.mark.parametrize('batch', [1, 2])
def test_attention_under_group_norm_varies_with_the_image(batch: int, training: bool) -> None:
    backbone = tiny(num_stages=1, norm_cfg=GROUP_NORM, stem_channels=64, base_channels=32).train(training)
    backbone.init_weights()
    with torch.no_grad():
        first, second = gates(backbone, image(batch, seed=1)), gates(backbone, 2 * image(batch, seed=2) + 1)
    assert (first - second).abs().max() > 1e-3


@pytest.mark.parametrize('batch', [1, 2])
def test_gradients_reach_the_gate_under_group_norm(batch: int) -> None:
    backbone = tiny(num_stages=1, norm_cfg=GROUP_NORM, stem_channels=64, base_channels=32).train()
    backbone(image(batch))[0].square().mean().backward()
    gradient = backbone.layer1[0].conv2.fc1.weight.grad
    assert gradient.abs().max() > 1e-6


def test_norm_of_the_whole_network_would_switch_the_attention_off() -> None:
    """Why the inner norm is another one: 32 groups over 32 pooled channels turn every value into zero."""
    layer = SplitAttention(8, 8, norm=lambda channels: nn.GroupNorm(4, channels), pooled_norm=partial(nn.GroupNorm, 32))
    with pytest.raises(ValueError, match='GroupNorm needs more than 1 value per channel'):
        layer.attend(image(2, channels=16).unflatten(1, (2, 8)))
    first, second = (layer.bn1(image(2, (1, 1), channels=32, seed=seed)) for seed in (1, 2))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ('norm_cfg', 'attn_norm_cfg', 'outer', 'inner'),
    [
        (None, None, nn.BatchNorm2d, nn.BatchNorm2d),
        ({'type': 'SyncBN'}, None, nn.SyncBatchNorm, nn.SyncBatchNorm),
        (GROUP_NORM, None, nn.GroupNorm, nn.GroupNorm),
        ({'type': 'IN'}, None, nn.InstanceNorm2d, nn.GroupNorm),
        ({'type': 'SyncBN'}, {'type': 'BN'}, nn.SyncBatchNorm, nn.BatchNorm2d),
        (None, {'type': 'GN', 'num_groups': 1}, nn.BatchNorm2d, nn.GroupNorm),
        ({'type': nn.BatchNorm2d, 'eps': 1e-3}, None, nn.BatchNorm2d, nn.BatchNorm2d),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(value),
)
def test_norms_are_those_asked_for(norm_cfg: Any, attn_norm_cfg: Any, outer: type, inner: type) -> None:
    backbone = tiny(num_stages=1, norm_cfg=norm_cfg, attn_norm_cfg=attn_norm_cfg, stem_channels=64, base_channels=32)
    block = backbone.layer1[0]
    outside = [backbone.stem[1], backbone.stem[7], block.bn1, block.conv2.bn0, block.bn3, block.downsample[2]]
    assert all(isinstance(norm, outer) for norm in outside)
    assert isinstance(block.conv2.bn1, inner)
    if inner is nn.GroupNorm:
        assert block.conv2.bn1.num_groups == 1
    if norm_cfg and 'eps' in norm_cfg:
        assert {norm.eps for norm in [*outside, block.conv2.bn1]} == {1e-3}


def test_inner_norm_changes_the_maps() -> None:
    """`attn_norm_cfg` is honoured: same weights, other values."""
    arguments = {'num_stages': 1, 'norm_cfg': {'type': 'BN'}}
    default, other = tiny(**arguments).train(), tiny(**arguments, attn_norm_cfg={'type': 'GN', 'num_groups': 4}).train()
    other.load_state_dict(default.state_dict(), strict=False)
    with torch.no_grad():
        assert (default(image())[0] - other(image())[0]).abs().max() > 1e-3


def test_a_frozen_norm_config_freezes_the_inner_norm_too() -> None:
    backbone = tiny(num_stages=1, norm_cfg={**GROUP_NORM, 'requires_grad': False}, stem_channels=64, base_channels=32)
    assert not any(p.requires_grad for p in backbone.layer1[0].conv2.bn1.parameters())
