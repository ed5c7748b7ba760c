"""Plugins are at their positions and get the number of channels there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmcv.cnn.bricks import ContextBlock
from torch import Tensor, nn

from resnest_mm.models.bottleneck import Bottleneck
from tests.support.tiny_backbones import image, scatter, snapshot, tiny

POSITIONS = ('after_conv1', 'after_conv2', 'after_conv3')


def plugin(position: str, **extra: Any) -> dict[str, Any]:
    return {'cfg': {'type': 'ContextBlock', 'ratio': 1 / 4}, 'position': position, **extra}


def by_hand(block: Bottleneck, position: str, layer: nn.Module, x: Tensor) -> Tensor:
    """A bottleneck with one layer inserted."""
    shortcut = block.downsample(x)
    x = block.bn1(block.conv1(x)).relu()
    x = layer(x) if position == 'after_conv1' else x
    x = block.pool_after(block.conv2(x))
    x = layer(x) if position == 'after_conv2' else x
    x = block.bn3(block.conv3(x))
    x = layer(x) if position == 'after_conv3' else x
    return (x + shortcut).relu()


@pytest.mark.parametrize(('groups', 'base_width', 'width'), [(1, 64, 32), (2, 40, 40)])
@pytest.mark.parametrize('position', POSITIONS)
def test_equals_insertion_by_hand(position: str, groups: int, base_width: int, width: int) -> None:
    backbone = tiny(
        num_stages=2,
        groups=groups,
        base_width=base_width,
        plugins=[plugin(position, stages=(False, True))],
    ).eval()
    scatter(backbone)
    block = backbone.layer2[0]
    layer = block.context_block
    assert isinstance(layer, ContextBlock)
    assert not hasattr(backbone.layer1[0], 'context_block')
    expected_channels = 128 if position == 'after_conv3' else width
    assert (layer.in_channels, layer.planes) == (expected_channels, expected_channels // 4)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    x = image(2, (9, 9), channels=64)
    with torch.no_grad():
        expected = by_hand(block, position, layer, x)
        assert torch.equal(block(x), expected)
        assert (expected - by_hand(block, position, nn.Identity(), x)).abs().max() > 1e-2


def test_entries_without_stages_hold_for_all_and_run_in_order() -> None:
    entries = [
        {'cfg': {'type': 'ContextBlock', 'ratio': 1 / 4, 'postfix': '_first'}, 'position': 'after_conv3'},
        {'cfg': {'type': 'ContextBlock', 'ratio': 1 / 8, 'postfix': '_second'}, 'position': 'after_conv3'},
    ]
    backbone = tiny(26, num_stages=2, plugins=entries).eval()
    calls: list[str] = []
    for block in backbone.bottlenecks:
        for name in ('context_block_first', 'context_block_second'):
            getattr(block, name).register_forward_hook(lambda *_, name=name: calls.append(name))
    backbone(image(1))
    assert calls == ['context_block_first', 'context_block_second'] * 4


def test_plugins_keep_their_own_initialisation() -> None:
    """A context block starts as an identity, which the default initialisation of convolutions would undo."""
    backbone = tiny(num_stages=1, plugins=[plugin('after_conv2')])
    layer = backbone.layer1[0].context_block
    before = snapshot(layer)
    backbone.init_weights()
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    assert not layer.channel_add_conv[3].weight.any()


def test_an_explicit_initialisation_reaches_plugins() -> None:
    init_cfg = {'type': 'Constant', 'layer': 'Conv2d', 'val': 0.5}
    backbone = tiny(num_stages=1, plugins=[plugin('after_conv2')], init_cfg=init_cfg)
    backbone.init_weights()
    assert (backbone.layer1[0].context_block.channel_add_conv[3].weight == 0.5).all()


def test_checkpoints_without_plugins_fill_the_rest(tmp_path: Path) -> None:
    plain = tiny(num_stages=1)
    scatter(plain)
    torch.save(plain.state_dict(), tmp_path / 'plain.pth')
    init_cfg = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'plain.pth')}
    backbone = tiny(num_stages=1, plugins=[plugin('after_conv2')], init_cfg=init_cfg)
    backbone.init_weights()
    with torch.no_grad():
        torch.testing.assert_close(backbone.eval()(image())[0], plain.eval()(image())[0])


def test_frozen_stages_freeze_their_plugins() -> None:
    backbone = tiny(num_stages=2, frozen_stages=1, plugins=[plugin('after_conv2')])
    assert not any(p.requires_grad for p in backbone.layer1[0].context_block.parameters())
    assert all(p.requires_grad for p in backbone.layer2[0].context_block.parameters())
