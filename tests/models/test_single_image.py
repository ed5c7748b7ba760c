"""Training works with batches of one image, and larger batches use plain batch norm."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnest_mm.models import ResNeSt, SplitAttention
from resnest_mm.models.layers import normalize as single_value
from tests.support.tiny_backbones import batch_norms, changed, image, scatter, snapshot, tiny

norm_types = pytest.mark.parametrize('norm', ['BN', 'SyncBN'])


@pytest.fixture(autouse=True)
def warn_again() -> Iterator[None]:
    """Forget that the warning was given, which happens once a process."""
    single_value.warn_of_single_value.cache_clear()
    yield
    single_value.warn_of_single_value.cache_clear()


def train_step(backbone: ResNeSt, x: Tensor) -> dict[str, Tensor]:
    backbone.zero_grad()
    sum(y.square().mean() for y in backbone(x)).backward()
    return {name: p.grad.clone() for name, p in backbone.named_parameters() if p.grad is not None}


@norm_types
def test_one_image_trains_and_warns_once(norm: str) -> None:
    backbone = tiny(num_stages=2, norm_cfg={'type': norm}).train()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        gradients = train_step(backbone, image(1))
        train_step(backbone, image(1))
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 1
    assert messages[0].startswith('a training batch of one image leaves the batch norm after the global pooling')
    assert 'of split attention' in messages[0] and 'norm_eval=True' in messages[0]
    assert set(gradients) == {name for name, _ in backbone.named_parameters()}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert all(gradients[f'layer{stage}.0.conv2.fc1.weight'].abs().max() > 0 for stage in (1, 2))


@pytest.mark.filterwarnings('ignore:a training batch of one image')
@norm_types
def test_one_image_leaves_the_statistics_behind_the_pooling_and_moves_all_others(norm: str) -> None:
    backbone = tiny(num_stages=2, norm_cfg={'type': norm}).train()
    before = snapshot(backbone)
    train_step(backbone, image(1))
    statistics = {name for name in before if name.endswith(('running_mean', 'running_var', 'num_batches_tracked'))}
    assert changed(before, backbone) == {name for name in statistics if '.conv2.bn1.' not in name}


def by_hand(layer: SplitAttention, x: Tensor, *, radix: int, running: bool) -> Tensor:
    """Split attention with one group in training, its inner norm by batch or by running statistics."""
    norm = layer.bn0
    y = F.batch_norm(layer.conv(x), None, None, norm.weight, norm.bias, training=True, eps=norm.eps).relu()
    splits = y.view(len(x), radix, -1, *y.shape[2:])
    context = layer.fc1(splits.sum(1).mean((2, 3), keepdim=True))
    norm = layer.bn1
    if running:
        shape = (1, -1, 1, 1)
        context = (context - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + norm.eps).sqrt()
        context = context * norm.weight.view(shape) + norm.bias.view(shape)
    else:
        context = F.batch_norm(context, None, None, norm.weight, norm.bias, training=True, eps=norm.eps)
    gates = layer.fc2(context.relu()).view(len(x), radix, -1).softmax(1)
    return (gates[:, :, :, None, None] * splits).sum(1)


@pytest.mark.filterwarnings('ignore:a training batch of one image')
@pytest.mark.parametrize(('batch', 'running'), [(1, True), (2, False), (3, False)])
@pytest.mark.parametrize('norm', [nn.BatchNorm2d, nn.SyncBatchNorm])
def test_inner_norm_by_hand(norm: type[nn.Module], batch: int, running: bool) -> None:
    """One image is normalised by running statistics, more by their own."""
    torch.manual_seed(0)
    layer = SplitAttention(8, 8, norm=norm).double().train()
    scatter(layer)
    x = image(batch, (4, 5), channels=8).double()
    wanted = [*layer.parameters()]
    expected = by_hand(layer, x, radix=2, running=running)
    found = layer(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    for a, b in zip(
        torch.autograd.grad(found.square().sum(), wanted),
        torch.autograd.grad(expected.square().sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('batch', [2, 3])
@norm_types
def test_more_images_are_bitwise_plain_batch_norm(norm: str, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The branch for one image must not touch any other batch: maps, gradients and statistics."""
    ours = tiny(num_stages=2, norm_cfg={'type': norm}).train()
    scatter(ours)
    plain = tiny(num_stages=2, norm_cfg={'type': norm}).train()
    plain.load_state_dict(ours.state_dict())
    x = image(batch)
    ours_maps, ours_gradients = ours(x), train_step(ours, x)
    monkeypatch.setattr('resnest_mm.models.split_attention.normalize_pooled', lambda norm, x, **_: norm(x))
    for a, b in zip(ours_maps, plain(x), strict=True):
        assert torch.equal(a, b)
    plain_gradients = train_step(plain, x)
    assert all(torch.equal(ours_gradients[name], plain_gradients[name]) for name in plain_gradients)
    assert changed(snapshot(plain), ours) == set()


@pytest.mark.filterwarnings('ignore:a training batch of one image')
def test_an_epoch_whose_last_batch_is_one_image() -> None:
    """205 images in batches of 4 leave one over; nine in batches of 4 do too."""
    backbone = tiny(num_stages=2).train()
    for batch in (4, 4, 1, 4, 4, 1):
        assert all(gradient.isfinite().all() for gradient in train_step(backbone, image(batch)).values())
    counts = {name: int(norm.num_batches_tracked) for name, norm in batch_norms(backbone).items()}
    assert {count for name, count in counts.items() if name.endswith('conv2.bn1')} == {4}
    assert {count for name, count in counts.items() if not name.endswith('conv2.bn1')} == {6}


def test_evaluation_of_one_image_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        tiny(num_stages=1).eval()(image(1))


def test_norm_eval_needs_no_exception() -> None:
    backbone = tiny(num_stages=1, norm_eval=True)
    backbone.load_state_dict(backbone.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        train_step(backbone.train(), image(1))


def test_two_devices_of_one_image_have_two_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A synchronised norm sees the images of all devices, a plain one those of its own."""
    context = torch.zeros(1, 32, 1, 1)
    synchronised, plain = SplitAttention(8, 8, norm=nn.SyncBatchNorm), SplitAttention(8, 8)
    assert tuple(single_value.values_per_channel(layer.bn1, context) for layer in (synchronised, plain)) == (1, 1)
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.distributed, 'get_world_size', lambda group=None: 2)
    assert tuple(single_value.values_per_channel(layer.bn1, context) for layer in (synchronised, plain)) == (2, 1)


SMALL: dict[str, dict[str, Any]] = {
    'batch': {'type': 'BN'},
    'synchronised': {'type': 'SyncBN'},
    'naive': {'type': 'resnest_mm.NaiveSyncBN'},
    'instance': {'type': 'IN', 'affine': True, 'track_running_stats': True},
}


@pytest.mark.parametrize('with_cp', [False, True])
@pytest.mark.parametrize('norm_cfg', SMALL.values(), ids=SMALL)
def test_an_image_whose_last_map_is_one_value_trains(norm_cfg: dict[str, Any], with_cp: bool) -> None:
    """Its norms use their running statistics and keep them; the norms of larger maps are trained as usual."""
    backbone = tiny(26, num_stages=2, norm_cfg=norm_cfg, with_cp=with_cp).train()
    scatter(backbone)
    before = snapshot(backbone)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        gradients = train_step(backbone, image(1, (8, 8)))
        train_step(backbone, image(1, (8, 8)))
    messages = [str(warning.message) for warning in caught if 'a feature map of 1x1' in str(warning.message)]
    assert len(messages) == 1
    assert 'norm_eval=True' in messages[0]
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert gradients['layer2.1.conv3.weight'].any()
    means = {name for name in before if name.endswith('running_mean') and '.conv2.bn1.' not in name}
    small = {name for name in means if name.startswith(('layer2.0.bn3', 'layer2.0.downsample', 'layer2.1'))}
    assert changed(before, backbone) & means == means - small


def test_one_value_is_normalised_as_in_evaluation() -> None:
    block = tiny(26, num_stages=1).layer1[1].double()
    scatter(block)
    x = image(1, (1, 1), channels=64).double()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        assert torch.equal(block.train()(x), block.eval()(x))


UNTRACKED: dict[str, Any] = {'type': 'BN', 'track_running_stats': False}


@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
def test_one_image_works_without_running_statistics(training: bool) -> None:
    """The gate has a group norm then, as with every other norm that needs no second image."""
    backbone = tiny(num_stages=2, norm_cfg=UNTRACKED).train(training)
    assert isinstance(backbone.layer1[0].conv2.bn1, nn.GroupNorm)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        gradients = train_step(backbone, image(1))
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients.values())


@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
@pytest.mark.parametrize(
    'norm_cfg', [UNTRACKED, {'type': 'IN'}, {'type': 'GN', 'num_groups': 32}], ids=['batch', 'instance', 'group']
)
def test_one_value_without_running_statistics_is_refused(norm_cfg: dict[str, Any], training: bool) -> None:
    """Any output would be the same for every image."""
    backbone = tiny(num_stages=1, norm_cfg=norm_cfg, stem_channels=64, base_channels=32).train(training)
    with pytest.raises(
        ValueError, match='more than 1 value per channel, because it has no running statistics'
    ) as raised:
        backbone(image(1, (4, 4)))
    assert 'norm_cfg=' in str(raised.value)
    backbone(image(1, (8, 8)))


def test_inner_norm_of_more_images_is_bitwise_torchs() -> None:
    layer = SplitAttention(8, 8).train()
    scatter(layer)
    plain = nn.BatchNorm2d(32)
    plain.load_state_dict(layer.bn1.state_dict())
    for batch in (2, 4):
        context = image(batch, (1, 1), channels=32)
        assert torch.equal(layer.normalize_context(context), plain(context))
    assert changed(snapshot(plain), layer.bn1) == set()
