"""Split attention equals the paper's, written as loops over groups and splits, and needs torch only."""

from __future__ import annotations

import ast
import itertools
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnest_mm.models import SplitAttention, split_attention
from tests.support.tiny_backbones import image, scatter, snapshot

RADIX_AND_GROUPS = list(itertools.product((1, 2, 4), (1, 2, 4)))


def attention(radix: int = 2, groups: int = 1, channels: int = 16, **arguments: object) -> SplitAttention:
    torch.manual_seed(0)
    layer = SplitAttention(channels, channels, radix=radix, groups=groups, **arguments)  # type: ignore[arg-type]
    scatter(layer)
    return layer


def normalise(x: Tensor, norm: nn.BatchNorm2d, part: slice) -> Tensor:
    """Batch norm by its formula, for a part of its channels."""
    if norm.training:
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    else:
        mean, variance = norm.running_mean[part], norm.running_var[part]
    scaled = (x - mean[:, None, None]) / (variance[:, None, None] + norm.eps).sqrt()
    return scaled * norm.weight[part][:, None, None] + norm.bias[part][:, None, None]


def split_attention_by_loops(layer: SplitAttention, x: Tensor, *, radix: int, groups: int) -> Tensor:
    """Split attention with a loop over groups and splits instead of grouped convolutions and reshapes."""
    conv, width = layer.conv, layer.conv.out_channels // (radix * groups)
    inputs, hidden = conv.in_channels // (radix * groups), layer.fc1.out_channels // groups
    outputs = []
    for group in range(groups):
        splits = []
        for split in range(radix):
            place = split * groups + group
            kernel = conv.weight[place * width : (place + 1) * width]
            part = x[:, place * inputs : (place + 1) * inputs]
            y = F.conv2d(part, kernel, stride=conv.stride, padding=conv.padding, dilation=conv.dilation)
            splits.append(F.relu(normalise(y, layer.bn0, slice(place * width, (place + 1) * width))))
        pooled = torch.stack(splits).sum(0).mean((2, 3))
        mine = slice(group * hidden, (group + 1) * hidden)
        context = F.linear(pooled, layer.fc1.weight[mine, :, 0, 0], layer.fc1.bias[mine])[:, :, None, None]
        context = F.relu(normalise(context, layer.bn1, mine))[:, :, 0, 0]
        logits = []
        for split in range(radix):
            first = (group * radix + split) * width
            rows = slice(first, first + width)
            logits.append(F.linear(context, layer.fc2.weight[rows, :, 0, 0], layer.fc2.bias[rows]))
        total = sum(logit.exp() for logit in logits)
        weights = [logit.sigmoid() for logit in logits] if radix == 1 else [logit.exp() / total for logit in logits]
        outputs.append(sum(weight[:, :, None, None] * y for weight, y in zip(weights, splits, strict=True)))
    return torch.cat(outputs, dim=1)


@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
@pytest.mark.parametrize(('radix', 'groups'), RADIX_AND_GROUPS)
def test_equals_a_loop_over_groups_and_splits(radix: int, groups: int, training: bool) -> None:
    layer = attention(radix, groups).double().train(training)
    x = image(3, (5, 7), channels=16).double()
    expected = split_attention_by_loops(layer, x, radix=radix, groups=groups)
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(('radix', 'groups'), RADIX_AND_GROUPS)
def test_gradients_equal_those_of_the_loop(radix: int, groups: int) -> None:
    layer = attention(radix, groups).double().train()
    x = image(3, (5, 7), channels=16).double().requires_grad_()
    wanted = [x, *layer.parameters()]
    expected = torch.autograd.grad(
        split_attention_by_loops(layer, x, radix=radix, groups=groups).square().sum(), wanted
    )
    found = torch.autograd.grad(layer(x).square().sum(), wanted)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_stride_and_dilation_reach_the_convolution() -> None:
    layer = attention(2, 2, stride=2, dilation=2).double().eval()
    x = image(2, (9, 12), channels=16).double()
    expected = split_attention_by_loops(layer, x, radix=2, groups=2)
    assert expected.shape[2:] == (5, 6)
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
@pytest.mark.parametrize(('radix', 'groups'), [(1, 1), (2, 1), (2, 2)])
def test_gradients_are_those_of_finite_differences(radix: int, groups: int, training: bool) -> None:
    layer = attention(radix, groups, channels=4).double().train(training)
    x = image(2, (3, 3), channels=4).double().requires_grad_()
    assert torch.autograd.gradcheck(layer, (x,))


@pytest.mark.parametrize(('radix', 'groups'), RADIX_AND_GROUPS)
def test_weights_of_the_splits_sum_to_one(radix: int, groups: int) -> None:
    layer = attention(radix, groups).eval()
    gates = layer.attend(image(2, (4, 4), channels=radix * 16).unflatten(1, (radix, 16)))
    assert gates.shape == (2, radix, 16, 1, 1)
    assert ((gates > 0) & (gates < 1)).all()
    if radix > 1:
        torch.testing.assert_close(gates.sum(1), torch.ones(2, 16, 1, 1))


@pytest.mark.parametrize(
    ('channels', 'radix', 'reduction_factor', 'expected'),
    [(64, 2, 4, 32), (128, 2, 4, 64), (64, 1, 4, 32), (512, 4, 4, 512), (256, 2, 16, 32), (1024, 2, 16, 128)],
)
def test_hidden_width_never_drops_below_32(channels: int, radix: int, reduction_factor: int, expected: int) -> None:
    layer = SplitAttention(channels, channels, radix=radix, reduction_factor=reduction_factor)
    assert layer.fc1.out_channels == layer.fc2.in_channels == layer.bn1.num_features == expected


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'in_channels': 6, 'channels': 8, 'radix': 4}, r'6 input channels by groups \* radix=4'),
        ({'in_channels': 8, 'channels': 6, 'groups': 4, 'radix': 2}, 'its 6 output channels by groups=4'),
        ({'in_channels': 6, 'channels': 6, 'groups': 3, 'radix': 1}, 'its 32 hidden channels of the gate by groups=3'),
        ({'in_channels': 0, 'channels': 4}, 'its 0 input channels'),
    ],
)
def test_channels_that_cannot_be_divided_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SplitAttention(**arguments)


@pytest.mark.parametrize('batch', [1, 2])
@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
@pytest.mark.parametrize('norm', ['batch', 'group'])
@pytest.mark.parametrize('radix', [1, 2])
def test_scripted_equals_eager(radix: int, norm: str, training: bool, batch: int) -> None:
    pooled_norm = None if norm == 'batch' else (lambda channels: nn.GroupNorm(1, channels))
    layer = attention(radix, 2, pooled_norm=pooled_norm).train(training)
    x = image(batch, (5, 6), channels=16)
    before = snapshot(layer)
    expected, statistics = layer(x), snapshot(layer)
    layer.load_state_dict(before)
    scripted = torch.jit.script(layer)
    torch.testing.assert_close(scripted(x), expected, rtol=0, atol=0)
    assert all(torch.equal(value, statistics[name]) for name, value in scripted.state_dict().items())


def test_the_layer_needs_torch_only() -> None:
    """Split attention and the few files under it can be taken into another project, which may not have OpenMMLab."""
    found, open_files = {'resnest_mm.models.split_attention'}, [Path(split_attention.__file__)]
    outside = set()
    while open_files:
        tree = ast.parse(open_files.pop().read_text(encoding='utf-8'))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        names = {node.module or '.' for node in imports}
        names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert all(node.level == 0 for node in imports)
        inside = {name for name in names if name.startswith('resnest_mm.')}
        outside |= {name.split('.')[0] for name in names - inside}
        open_files += [Path(sys.modules[name].__file__ or '') for name in inside - found]
        found |= inside
    under = {'layers.norm', 'layers.normalize', 'layers.empty_batch', 'layers.pooled_norm', 'widths', 'split_attention'}
    assert found == {f'resnest_mm.models.{name}' for name in under}
    assert outside == {'__future__', 'collections', 'functools', 'torch', 'typing', 'warnings'}
