"""Deformable convolutions inside split attention start as plain convolutions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from resnest_mm.models import ResNeSt
from tests.support.tiny_backbones import image, scatter, tiny

pytest.importorskip('mmcv._ext')

from mmcv.ops import DeformConv2dPack, ModulatedDeformConv2dPack

from resnest_mm.models.layers.deform_conv import OffsetConv, build_deform_conv

VERSIONS = {'DCN': 18, 'DCNv2': 27}
versions = pytest.mark.parametrize('kind', VERSIONS)


def deformable(kind: str, *, num_stages: int = 2, depth: int = 14, **arguments: Any) -> ResNeSt:
    return tiny(
        depth,
        num_stages=num_stages,
        stage_with_dcn=(False,) + (True,) * (num_stages - 1),
        **{'dcn': {'type': kind}, **arguments},
    )


def with_offsets(backbone: ResNeSt) -> ResNeSt:
    torch.manual_seed(7)
    for module in backbone.modules():
        if isinstance(module, OffsetConv):
            nn.init.normal_(module.weight, std=0.2)
            nn.init.normal_(module.bias, std=0.2)
    return backbone


@versions
def test_only_the_named_stages_are_deformable(kind: str) -> None:
    backbone = tiny(26, num_stages=3, dcn={'type': kind}, stage_with_dcn=(False, True, False))
    found = [hasattr(block.conv2.conv, 'conv_offset') for block in backbone.bottlenecks]
    assert found == [False, False, True, True, False, False]


@versions
def test_blocks_with_a_stride_fall_back(kind: str) -> None:
    dcn = {'type': kind, 'fallback_on_stride': True}
    backbone = deformable(kind, depth=26, num_stages=3, dcn=dcn)
    plain = [type(block.conv2.conv) is nn.Conv2d for block in backbone.bottlenecks]
    assert plain == [True, True, True, False, True, False]
    assert dcn == {'type': kind, 'fallback_on_stride': True}


@versions
@pytest.mark.parametrize(
    ('radix', 'groups', 'asked', 'expected'), [(2, 1, None, 2), (4, 1, None, 4), (1, 1, None, 1), (2, 2, 4, 4)]
)
def test_offsets_are_predicted_group_by_group(
    kind: str, radix: int, groups: int, asked: int | None, expected: int
) -> None:
    dcn = {'type': kind} if asked is None else {'type': kind, 'deform_groups': asked}
    backbone = deformable(kind, dcn=copy.deepcopy(dcn), radix=radix, groups=groups)
    conv, width = backbone.layer2[0].conv2.conv, 32 * groups
    assert conv.deform_groups == conv.conv_offset.groups == expected
    assert conv.conv_offset.weight.shape == (expected * VERSIONS[kind], width // expected, 3, 3)
    assert conv.groups == radix * groups
    assert conv.weight.shape == (width * radix, width // (radix * groups), 3, 3)


def assert_zero_offsets(backbone: ResNeSt) -> None:
    offsets = [module for module in backbone.modules() if isinstance(module, OffsetConv)]
    assert offsets
    assert not any(module.weight.any() or module.bias.any() for module in offsets)


@versions
@pytest.mark.parametrize(
    'init_cfg',
    [
        None,
        {'type': 'Kaiming', 'layer': 'Conv2d'},
        [{'type': 'Normal', 'layer': 'Conv2d', 'std': 0.1, 'bias': 0.5}],
        [{'type': 'Normal', 'layer': 'OffsetConv', 'std': 0.1, 'bias': 0.5}],
    ],
    ids=['default', 'kaiming', 'normal', 'normal-offsets'],
)
def test_offsets_start_at_zero(kind: str, init_cfg: Any) -> None:
    backbone = deformable(kind, init_cfg=init_cfg)
    assert_zero_offsets(backbone)
    backbone.init_weights()
    assert_zero_offsets(backbone)


@versions
def test_offsets_start_at_zero_behind_a_checkpoint_without_them(kind: str, tmp_path: Path) -> None:
    plain = tiny(num_stages=2)
    scatter(plain)
    torch.save(plain.state_dict(), tmp_path / 'plain.pth')
    backbone = deformable(kind, init_cfg={'type': 'Pretrained', 'checkpoint': str(tmp_path / 'plain.pth')})
    backbone.init_weights()
    assert_zero_offsets(backbone)
    assert all(torch.equal(value, backbone.state_dict()[name]) for name, value in plain.state_dict().items())


@versions
def test_offsets_of_a_checkpoint_are_kept(kind: str, tmp_path: Path) -> None:
    trained = with_offsets(deformable(kind))
    torch.save(trained.state_dict(), tmp_path / 'trained.pth')
    backbone = deformable(kind, init_cfg={'type': 'Pretrained', 'checkpoint': str(tmp_path / 'trained.pth')})
    backbone.init_weights()
    assert all(torch.equal(value, backbone.state_dict()[name]) for name, value in trained.state_dict().items())
    assert backbone.layer2[0].conv2.conv.conv_offset.weight.any()


@pytest.mark.parametrize(('kind', 'share'), [('DCN', 1.0), ('DCNv2', 0.5)])
@pytest.mark.parametrize('size', [(9, 7), (3, 3), (2, 2), (1, 1), (1, 5)], ids=str)
def test_layer_starts_as_a_share_of_the_plain_convolution(kind: str, share: float, size: tuple[int, int]) -> None:
    """Modulations start at sigmoid(0) = 0.5; maps smaller than the kernel work too."""
    torch.manual_seed(0)
    common: dict[str, Any] = {'kernel_size': 3, 'stride': 1, 'padding': 2, 'dilation': 2, 'groups': 4, 'bias': False}
    layer = build_deform_conv({'type': kind}, 8, 16, radix=2, **common)
    plain = nn.Conv2d(8, 16, **common)
    plain.load_state_dict({'weight': layer.weight.detach()})
    x = image(2, size, channels=8)
    torch.testing.assert_close(layer(x), share * plain(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(('kind', 'share'), [('DCN', 1.0), ('DCNv2', 0.5)])
@pytest.mark.parametrize('size', [(9, 7), (8, 6)], ids=str)
def test_layer_with_a_stride_starts_as_a_share_of_the_plain_convolution(
    kind: str, share: float, size: tuple[int, int]
) -> None:
    """The offsets are predicted at the positions of the output, of which a stride leaves a quarter."""
    torch.manual_seed(0)
    common: dict[str, Any] = {'kernel_size': 3, 'stride': 2, 'padding': 1, 'dilation': 1, 'groups': 2, 'bias': False}
    layer = build_deform_conv({'type': kind}, 8, 8, radix=2, **common)
    plain = nn.Conv2d(8, 8, **common)
    plain.load_state_dict({'weight': layer.weight.detach()})
    x = image(2, size, channels=8)
    torch.testing.assert_close(layer(x), share * plain(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(('kind', 'share'), [('DCN', 1.0), ('DCNv2', 0.5)])
@pytest.mark.parametrize('size', [(32, 32), (33, 65), (64, 32)], ids=str)
def test_maps_start_as_the_plain_backbones(kind: str, share: float, size: tuple[int, int]) -> None:
    """The last stage of a 32-pixel image is one value, smaller than the kernel."""
    plain = tiny(num_stages=4).eval()
    scatter(plain)
    backbone = deformable(kind, num_stages=4).eval()
    backbone.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        for block in backbone.bottlenecks[1:]:
            block.conv2.conv.weight /= share
        for a, b in zip(backbone(image(1, size)), plain(image(1, size)), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@versions
def test_offsets_move_the_maps_and_learn(kind: str) -> None:
    backbone, moved = deformable(kind).train(), with_offsets(deformable(kind)).train()
    moved.load_state_dict({k: v for k, v in backbone.state_dict().items() if 'conv_offset' not in k}, strict=False)
    assert (backbone(image())[1] - moved(image())[1]).abs().max() > 1e-3
    backbone(image(size=(64, 64)))[1].square().mean().backward()
    assert backbone.layer2[0].conv2.conv.conv_offset.weight.grad.abs().max() > 0


@versions
def test_equals_mmcvs_layer_with_block_diagonal_offsets(kind: str) -> None:
    """The grouped prediction is mmcv's dense one without the weights between the groups, in mmcv's channel order.

    In double precision: how the two convolutions round differs by processor, and sampling enlarges the difference.
    """
    torch.manual_seed(0)
    common: dict[str, Any] = {'kernel_size': 3, 'stride': 1, 'padding': 1, 'dilation': 1, 'groups': 2, 'bias': False}
    layer = build_deform_conv({'type': kind, 'deform_groups': 2}, 8, 8, radix=2, **common).double()
    nn.init.normal_(layer.conv_offset.weight, std=0.3)
    nn.init.normal_(layer.conv_offset.bias, std=0.3)
    pack = DeformConv2dPack if kind == 'DCN' else ModulatedDeformConv2dPack
    dense = pack(8, 8, deform_groups=2, **common).double()
    half = layer.conv_offset.out_channels // 2
    with torch.no_grad():
        dense.weight.copy_(layer.weight)
        dense.conv_offset.bias.copy_(layer.conv_offset.bias)
        dense.conv_offset.weight.zero_()
        dense.conv_offset.weight[:half, :4] = layer.conv_offset.weight[:half]
        dense.conv_offset.weight[half:, 4:] = layer.conv_offset.weight[half:]
        x = image(2, (6, 7), channels=8).double()
        torch.testing.assert_close(layer(x), dense(x), rtol=1e-12, atol=1e-12)


def test_compiled_ops_are_imported_only_for_deformable_convolutions(fresh_python: Callable[..., Any]) -> None:
    code = """
import sys
from resnest_mm.models import ResNeSt
ResNeSt(14, num_stages=1).init_weights()
assert not {'mmcv.ops', 'mmcv._ext', 'mmdet', 'mmseg'} & set(sys.modules)
ResNeSt(14, num_stages=1, dcn=dict(type='DCNv2'), stage_with_dcn=[True])
assert 'mmcv._ext' in sys.modules
"""
    fresh_python(code)


def test_missing_compiled_ops_are_explained(fresh_python: Callable[..., Any]) -> None:
    code = """
import sys
sys.modules['mmcv.ops'] = None
from resnest_mm.models import ResNeSt
try:
    ResNeSt(14, dcn=dict(type='DCN'), stage_with_dcn=[False, True, True, True])
except ValueError as error:
    assert "needs mmcv's compiled ops" in str(error), error
else:
    raise AssertionError('no error')
"""
    fresh_python(code)
