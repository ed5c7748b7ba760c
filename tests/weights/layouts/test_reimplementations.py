"""The two re-implementations, computed loop by loop from their description, equal ours after conversion."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from resnest_mm.errors import ConversionError
from resnest_mm.models.split_attention import SplitAttention
from resnest_mm.weights.layouts import reimplementations as convert
from tests.support.tiny_backbones import scatter

CHANNELS, EPS = 16, 1e-5
BLOCK = 'layer1.0'
Weights = Mapping[str, Tensor]


def ours(radix: int, groups: int) -> SplitAttention:
    """Return a split attention in evaluation, all values random."""
    torch.manual_seed(radix * 10 + groups)
    layer = SplitAttention(CHANNELS, CHANNELS, radix=radix, groups=groups).double()
    scatter(layer)
    return layer.eval()


def as_block(layer: SplitAttention) -> dict[str, Tensor]:
    """Return it as the converters see a backbone: inside a block whose first convolution tells its width."""
    state = {f'{BLOCK}.conv2.{key}': value for key, value in layer.state_dict().items()}
    return {**state, f'{BLOCK}.conv1.weight': torch.zeros(CHANNELS, 4, 1, 1)}


def norm(x: Tensor, weights: Weights, name: str) -> Tensor:
    mean, var, scale, shift = (
        weights[f'{BLOCK}.conv2.{name}.{p}'].view(1, -1, *[1] * (x.dim() - 2))
        for p in ('running_mean', 'running_var', 'weight', 'bias')
    )
    return F.relu((x - mean) / torch.sqrt(var + EPS) * scale + shift)


def grouped(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply channels by the weight of a 1x1 convolution, group by group."""
    groups = x.shape[1] // weight.shape[1]
    outputs = []
    for group, rows in enumerate(weight.flatten(1).chunk(groups)):
        inputs = x[:, group * weight.shape[1] : (group + 1) * weight.shape[1]]
        outputs.append(inputs @ rows.T)
    y = torch.cat(outputs, 1)
    return y if bias is None else y + bias


def forward(x: Tensor, weights: Weights, *, radix: int, groups: int, reading: str) -> Tensor:
    """Compute a split attention whose gates are read in a given order.

    `reading` is 'group-major' for (group, radix, channel), as in ZCls' second version, 'radix-major' for (radix, group,
    channel), as in glasses, and 'first' for ZCls' first version, which is radix-major and always takes a softmax.
    """
    name = f'{BLOCK}.conv2.'
    conv = weights[f'{name}conv.weight']
    x = norm(F.conv2d(x, conv, padding=1, groups=x.shape[1] // conv.shape[1]), weights, 'bn0')
    splits = x.chunk(radix, 1)
    context = sum(splits).mean((2, 3))
    hidden = grouped(context, weights[f'{name}fc1.weight'], weights.get(f'{name}fc1.bias'))
    logits = grouped(norm(hidden, weights, 'bn1'), weights[f'{name}fc2.weight'], weights.get(f'{name}fc2.bias'))
    per_group = CHANNELS // groups
    result = torch.zeros_like(splits[0])
    for group in range(groups):
        for channel in range(per_group):
            place = group * per_group + channel
            rows = [
                (group * radix + split) * per_group + channel if reading == 'group-major' else split * CHANNELS + place
                for split in range(radix)
            ]
            gates = logits[:, rows]
            gates = gates.sigmoid() if radix == 1 and reading != 'first' else gates.softmax(1)
            for split in range(radix):
                result[:, place] += gates[:, split, None, None] * splits[split][:, place]
    return result


def expect_equal(layer: SplitAttention, weights: Weights, **how: object) -> None:
    x = torch.randn(2, CHANNELS, 5, 5, generator=torch.Generator().manual_seed(3)).double()
    with torch.no_grad():
        expected = layer(x)
        torch.testing.assert_close(forward(x, weights, **how), expected, rtol=0, atol=1e-12)  # type: ignore[arg-type]


def load(layer: SplitAttention, weights: Weights) -> SplitAttention:
    start = f'{BLOCK}.conv2.'
    layer.load_state_dict({key.removeprefix(start): value for key, value in weights.items() if key.startswith(start)})
    return layer


CASES = pytest.mark.parametrize(('radix', 'groups'), [(1, 1), (2, 1), (1, 2), (2, 2), (4, 2)])


@CASES
def test_zcls_without_the_bias_equals_ours(radix: int, groups: int) -> None:
    """Folding the bias keeps the function; reading it back gives a zero bias and the same function."""
    layer = ours(radix, groups)
    zcls = convert.write_zcls(as_block(layer))
    assert f'{BLOCK}.conv2.fc1.bias' not in zcls
    how = {'radix': radix, 'groups': groups, 'reading': 'group-major'}
    expect_equal(layer, zcls, **how)
    back = convert.read_zcls(zcls)
    assert not back[f'{BLOCK}.conv2.fc1.bias'].any()
    expect_equal(load(ours(radix, groups), back), zcls, **how)


@pytest.mark.parametrize(('radix', 'groups'), [(2, 1), (4, 1)])
def test_first_zcls_version_equals_ours_with_one_group(radix: int, groups: int) -> None:
    """There the order of the gates is the same, and missing biases are zero."""
    layer = ours(radix, groups)
    with torch.no_grad():
        layer.fc1.bias.zero_()
        layer.fc2.bias.zero_()
    first = {key: value for key, value in as_block(layer).items() if not key.endswith(('fc1.bias', 'fc2.bias'))}
    expect_equal(layer, first, radix=radix, groups=groups, reading='first')
    back = convert.read_zcls(first)
    assert back.keys() == as_block(layer).keys()
    expect_equal(load(ours(radix, groups), back), first, radix=radix, groups=groups, reading='first')


@pytest.mark.parametrize(('radix', 'groups'), [(1, 1), (1, 2), (2, 2)])
def test_first_zcls_version_is_refused_otherwise(radix: int, groups: int) -> None:
    """It computes something else there, which no values of ours can."""
    layer = ours(radix, groups)
    first = {key: value for key, value in as_block(layer).items() if not key.endswith(('fc1.bias', 'fc2.bias'))}
    with torch.no_grad():
        layer.fc1.bias.zero_()
        layer.fc2.bias.zero_()
    with pytest.raises(AssertionError, match='not close'):
        expect_equal(layer, first, radix=radix, groups=groups, reading='first')
    with pytest.raises(ConversionError, match='the first ZCls version'):
        convert.read_zcls(first)


@pytest.mark.parametrize(('radix', 'groups'), [(1, 1), (2, 1), (4, 1), (1, 2)])
def test_glasses_reads_one_group_or_one_split_as_ours(radix: int, groups: int) -> None:
    """There both orders of the gates are the same, so nothing changes."""
    layer = ours(radix, groups)
    glasses = convert.write_glasses(as_block(layer))
    expect_equal(layer, glasses, radix=radix, groups=groups, reading='radix-major')
    back = convert.read_glasses(glasses)
    assert all(torch.equal(back[key], value) for key, value in as_block(layer).items())


@pytest.mark.parametrize(('radix', 'groups'), [(2, 2), (4, 2), (2, 4)])
def test_grouped_glasses_gates_are_refused(radix: int, groups: int) -> None:
    """A gate that is read from another group's rows hangs on that group: reordering rows cannot undo it."""
    layer = ours(radix, groups)
    state = as_block(layer)
    for refuse in (convert.write_glasses, convert.read_glasses):
        with pytest.raises(ConversionError, match='no order of its rows makes that the official layer'):
            refuse(state)
    x = torch.randn(1, CHANNELS, 5, 5, generator=torch.Generator().manual_seed(3)).double().requires_grad_()
    # Even with its rows in the order that glasses reads, a later group's gates never see that group's channels.
    name = f'{BLOCK}.conv2.fc2.'
    rows = {f'{name}{p}': convert._swap(state[f'{name}{p}'], groups, radix) for p in ('weight', 'bias')}
    y = forward(x, {**state, **rows}, radix=radix, groups=groups, reading='radix-major')
    with torch.no_grad():
        assert not torch.allclose(y, layer(x))


@CASES
def test_ungrouped_glasses_gates_equal_ours_in_their_order(radix: int, groups: int) -> None:
    """With ungrouped gates, permuted rows make it exact, and the way back returns every bit."""
    layer = ours(radix, groups)
    state = as_block(layer)
    dense = convert.write_dense_glasses(state)
    assert dense[f'{BLOCK}.conv2.fc2.weight'].shape[1] == dense[f'{BLOCK}.conv2.fc1.weight'].shape[0]
    expect_equal(layer, dense, radix=radix, groups=groups, reading='radix-major')
    back = convert.read_glasses(dense)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], value) for key, value in state.items())


def test_ungrouped_gates_that_mix_groups_are_refused() -> None:
    """Cutting them into groups would drop weights."""
    dense = convert.write_dense_glasses(as_block(ours(2, 2)))
    dense[f'{BLOCK}.conv2.fc2.weight'] = torch.ones_like(dense[f'{BLOCK}.conv2.fc2.weight'])
    with pytest.raises(ConversionError, match='mixes its 2 groups'):
        convert.read_glasses(dense)


def test_permuted_rows_need_more_than_equal_numbers() -> None:
    """Constant weights, with which the re-implementations were once compared, cannot see a permutation."""
    layer = ours(2, 2)
    state = {key: torch.full_like(v, 0.01) if v.is_floating_point() else v for key, v in as_block(layer).items()}
    x = torch.randn(2, CHANNELS, 5, 5, generator=torch.Generator().manual_seed(3)).double()
    with torch.no_grad():
        wrong = forward(x, state, radix=2, groups=2, reading='radix-major')
        assert torch.allclose(wrong, load(layer, state)(x))
    with pytest.raises(AssertionError, match='not close'):
        expect_equal(ours(2, 2), as_block(ours(2, 2)), radix=2, groups=2, reading='radix-major')
