"""Dilations, pools and drop path are in the blocks that the arguments describe."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.support.tiny_backbones import image, scatter, tiny


def dilations(backbone: Any) -> list[int]:
    for block in backbone.bottlenecks:
        conv = block.conv2.conv
        assert conv.padding == conv.dilation
        assert conv.dilation[0] == conv.dilation[1]
    return [block.conv2.conv.dilation[0] for block in backbone.bottlenecks]


def test_dilations_of_the_stages_reach_the_convolutions() -> None:
    arguments = {'strides': (1, 2, 1, 1), 'dilations': (1, 1, 2, 4)}
    assert dilations(tiny(26, **arguments)) == [1, 1, 1, 1, 1, 2, 2, 4]
    assert dilations(tiny(26, **arguments, contract_dilation=False)) == [1, 1, 1, 1, 2, 2, 4, 4]


def test_multi_grid_sets_the_last_stage_block_by_block() -> None:
    arguments = {'strides': (1, 2, 1, 1), 'dilations': (1, 1, 2, 4)}
    assert dilations(tiny(26, **arguments, multi_grid=(2, 8))) == [1, 1, 1, 1, 1, 2, 2, 8]
    assert dilations(tiny(26, num_stages=2, multi_grid=(3, 5))) == [1, 1, 3, 5]


def test_dilated_stages_keep_their_pool() -> None:
    """The official dilated network pools in the first block of a stage whose stride became a dilation."""
    arguments: dict[str, Any] = {'strides': (1, 2, 1, 1), 'dilations': (1, 1, 2, 4)}
    pools = [isinstance(block.pool_after, nn.AvgPool2d) for block in tiny(26, **arguments).bottlenecks]
    assert pools == [False, False, True, False, True, False, True, False]
    other = tiny(26, **arguments, avd_in_dilated=False)
    assert [isinstance(block.pool_after, nn.AvgPool2d) for block in other.bottlenecks] == [
        *(False, False, True, False),
        *(False, False, False, False),
    ]
    plain = tiny(26, **arguments)
    with torch.no_grad():
        other.load_state_dict(plain.state_dict())
        assert (plain.eval()(image())[3] - other.eval()(image())[3]).abs().max() > 1e-4


def test_rates_rise_linearly() -> None:
    backbone = tiny(26, drop_path_rate=0.7)
    assert isinstance(backbone.bottlenecks[0].drop_path, nn.Identity)
    rates = [block.drop_path.drop_prob for block in backbone.bottlenecks[1:]]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert all(isinstance(block.drop_path, nn.Identity) for block in tiny(26).bottlenecks)


def test_evaluation_drops_nothing() -> None:
    plain, dropping = tiny(26).eval(), tiny(26, drop_path_rate=0.9).eval()
    with torch.no_grad():
        for a, b in zip(plain(image()), dropping(image()), strict=True):
            assert torch.equal(a, b)


def test_training_drops_the_residual_branch_of_whole_images() -> None:
    """Half of the images keep the shortcut alone, the others get the residual twice as large."""
    backbone = tiny(26, num_stages=1, drop_path_rate=0.5).eval()
    scatter(backbone)
    block = backbone.layer1[1]
    x = image(600, (3, 3), channels=64)
    with torch.no_grad():
        residual = block.bn3(block.conv3(block.conv2(block.bn1(block.conv1(x)).relu())))
        block.drop_path.train()
        torch.manual_seed(0)
        y = block(x)
    dropped = (y == x.relu()).flatten(1).all(1)
    assert 0.43 < dropped.float().mean() < 0.57  # 600 draws: three standard deviations are 0.06
    torch.testing.assert_close(y[~dropped], (2 * residual + x).relu()[~dropped], rtol=1e-5, atol=1e-5)


def test_shortcut_of_a_projecting_block_is_kept() -> None:
    backbone = tiny(14, num_stages=2, drop_path_rate=0.99).eval()
    block = backbone.layer2[0]
    x = image(16, (4, 4), channels=64)
    block.drop_path.train()
    torch.manual_seed(0)
    with torch.no_grad():
        y, shortcut = block(x), block.downsample(x).relu()
    assert torch.equal(y, shortcut)
