"""Deformable convolutions give the values of a loop for every memory format, type and size of their input."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resnest_mm.models import ResNeSt
from tests.support.tiny_backbones import changed, image, scatter, snapshot, tiny

pytest.importorskip('mmcv._ext')

from resnest_mm.models.layers.compiled_ops import largest_step
from resnest_mm.models.layers.deform_conv import OffsetConv, build_deform_conv

versions = pytest.mark.parametrize('kind', ['DCN', 'DCNv2'])


def layer(kind: str, *, stride: int = 1, dilation: int = 1) -> nn.Module:
    """Return a deformable convolution of 4 to 6 channels with offsets of about a pixel."""
    torch.manual_seed(0)
    made = build_deform_conv(
        {'type': kind},
        *(4, 6),
        radix=2,
        kernel_size=3,
        stride=stride,
        padding=dilation,
        dilation=dilation,
        groups=2,
        bias=False,
    )
    nn.init.normal_(made.conv_offset.weight, std=0.3)
    nn.init.normal_(made.conv_offset.bias, std=0.5)
    return made.double()


def value(plane: Tensor, y: float, x: float) -> float:
    """Return the bilinear value of a plane at a point; everything outside of it is zero."""
    top, left, total = math.floor(y), math.floor(x), 0.0
    for row, part in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, share in ((left, 1 - (x - left)), (left + 1, x - left)):
            if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
                total += part * share * float(plane[row, column])
    return total


def by_loop(kind: str, conv: Any, x: Tensor) -> Tensor:
    """Return the output of a deformable convolution, one product at a time."""
    predicted = conv.conv_offset(x.contiguous())
    taps = 2 * 9 * conv.deform_groups
    offsets, masks = predicted[:, :taps], predicted[:, taps:].sigmoid()
    out = x.new_zeros(len(x), conv.out_channels, *predicted.shape[2:])
    per_group, per_offset = conv.in_channels // conv.groups, conv.in_channels // conv.deform_groups
    stride, dilation = conv.stride[0], conv.dilation[0]
    for n, o, i, j in torch.ones_like(out).nonzero().tolist():
        for c in range(per_group):
            channel = o // (conv.out_channels // conv.groups) * per_group + c
            for tap in range(9):
                at = (channel // per_offset) * 9 + tap
                dy, dx = float(offsets[n, 2 * at, i, j]), float(offsets[n, 2 * at + 1, i, j])
                y = i * stride - dilation + tap // 3 * dilation + dy
                sampled = value(x[n, channel], y, j * stride - dilation + tap % 3 * dilation + dx)
                weight = float(conv.weight[o, c, tap // 3, tap % 3])
                out[n, o, i, j] += weight * sampled * (float(masks[n, at, i, j]) if kind == 'DCNv2' else 1.0)
    return out


@versions
@pytest.mark.parametrize(
    ('size', 'stride', 'dilation'),
    [((4, 5), 1, 1), ((5, 4), 2, 1), ((4, 4), 1, 2), ((1, 7), 2, 1), ((2, 1), 2, 1), ((1, 1), 2, 1), ((1, 5), 3, 2)],
    ids=str,
)
def test_equals_a_loop(kind: str, size: tuple[int, int], stride: int, dilation: int) -> None:
    """Also on maps that are smaller than the kernel, with a stride."""
    conv = layer(kind, stride=stride, dilation=dilation)
    x = image(2, size, channels=4).double()
    with torch.no_grad():
        torch.testing.assert_close(conv(x), by_loop(kind, conv, x), rtol=1e-12, atol=1e-12)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    'channels-last': lambda x: x.to(memory_format=torch.channels_last),
    'slice': lambda x: torch.cat((x + 7, x), dim=3)[..., x.shape[3] :],
    'every-second-row': lambda x: torch.stack((x, x - 9), dim=3).flatten(2, 3)[:, :, ::2],
    'transposed': lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    'channel-slice': lambda x: torch.cat((x * 2, x), dim=1)[:, x.shape[1] :],
}


@versions
@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_layouts_give_the_same_output_and_gradients(kind: str, layout: str, stride: int) -> None:
    """The ops read memory as if it were contiguous."""
    conv = layer(kind, stride=stride)
    x = image(2, (6, 5), channels=4).double()
    expected, wanted = results(conv, x)
    strange = LAYOUTS[layout](x)
    assert torch.equal(strange, x)
    assert not strange.is_contiguous()
    y, found = results(conv, strange)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    assert y.is_contiguous(memory_format=torch.channels_last) == (layout == 'channels-last')
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def results(conv: nn.Module, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the output and the gradients of input and parameters, with a gradient in the layout of the output."""
    x = x.detach().requires_grad_()
    y = conv(x)
    up = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(4))
    layout = torch.channels_last if y.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    return y, torch.autograd.grad(y, (x, *conv.parameters()), up.contiguous(memory_format=layout))


@versions
def test_an_expanded_input_is_an_input(kind: str) -> None:
    conv, one = layer(kind), image(1, (5, 6), channels=4).double()
    expected = conv(one.repeat(3, 1, 1, 1))
    assert torch.equal(conv(one.expand(3, -1, -1, -1)), expected)


@versions
@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
@pytest.mark.parametrize('converted', ['input', 'model', 'both'])
def test_backbone_in_channels_last_is_the_same_network(kind: str, training: bool, converted: str) -> None:
    """Maps, gradients and running statistics; also the weights may be stored in channels_last."""
    plain = deformable(kind).double()
    scatter(plain)
    plain.train(training)
    other = copy.deepcopy(plain)
    x = image(2, (32, 48)).double()
    strange = x
    if converted != 'input':
        other = other.to(memory_format=torch.channels_last)
    if converted != 'model':
        strange = x.to(memory_format=torch.channels_last)
    expected, found = plain(x), other(strange)
    for a, b in zip(found, expected, strict=True):
        assert a.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    for maps in (expected, found):
        sum(y.square().mean() for y in maps).backward()
    for a, b in zip(other.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-7, atol=1e-9)
    for name, buffer in other.named_buffers():
        torch.testing.assert_close(buffer, plain.get_buffer(name), rtol=1e-9, atol=1e-9)


def deformable(kind: str) -> ResNeSt:
    """Return a backbone of two stages whose second one is deformable, with offsets."""
    backbone = tiny(num_stages=2, dcn={'type': kind}, stage_with_dcn=(False, True))
    for module in backbone.modules():
        if isinstance(module, OffsetConv):
            nn.init.normal_(module.weight, std=0.2)
    return backbone


@versions
@pytest.mark.parametrize('kept', [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last], ids=str)
def test_mixed_precision_is_the_same_network_roughly(kind: str, kept: torch.dtype, layout: torch.memory_format) -> None:
    """The ops have no code for bfloat16, in which CPUs train with mixed precision."""
    backbone = deformable(kind).train()
    x = image(2, (32, 48)).to(memory_format=layout)
    expected = [y.detach() for y in backbone(x)]
    with torch.autocast('cpu', dtype=kept):
        found = backbone(x)
    sum(y.float().square().mean() for y in found).backward()
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == kept
        assert (a.float() - b).norm() < (0.1 if kept == torch.bfloat16 else 0.01) * b.norm()
    gradients = [parameter.grad for parameter in backbone.parameters()]
    assert all(gradient.dtype == torch.float32 and gradient.isfinite().all() for gradient in gradients)
    assert backbone.layer2[0].conv2.conv.conv_offset.weight.grad.any()


@versions
def test_a_batch_may_have_any_number_of_images(kind: str) -> None:
    """mmcv's version 1 takes 32 images at once and stops at a batch that 32 does not divide."""
    conv = layer(kind)
    x = image(37, (3, 4), channels=4).double()
    torch.testing.assert_close(conv(x), torch.cat([conv(part) for part in x.split(5)]), rtol=1e-12, atol=1e-12)
    assert [largest_step(images) for images in (1, 32, 33, 37, 48, 64)] == [1, 32, 11, 1, 24, 32]


@versions
def test_an_empty_batch_gives_an_empty_map_and_zero_gradients(kind: str) -> None:
    conv = layer(kind, stride=2)
    before = snapshot(conv)
    x = image(0, (5, 6), channels=4).double().requires_grad_()
    y = conv(x)
    assert y.shape == (0, 6, 3, 3)
    y.sum().backward()
    assert all(torch.equal(p.grad, torch.zeros_like(p)) for p in conv.parameters())
    assert x.grad.shape == x.shape
    assert changed(before, conv) == set()
