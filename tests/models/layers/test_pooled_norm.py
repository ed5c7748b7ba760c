"""A norm after a global pooling is itself, but for the batch norm that one value per channel would stop."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from resnest_mm.models.layers.normalize import values_per_channel, warn_of_single_value
from resnest_mm.models.layers.pooled_norm import normalize_pooled
from tests.support.tiny_backbones import changed, image, scatter, snapshot


@pytest.fixture(autouse=True)
def warn_again() -> Iterator[None]:
    """Forget that the warning was given, which happens once a place."""
    warn_of_single_value.cache_clear()
    yield
    warn_of_single_value.cache_clear()


def batch_norm(kind: type[nn.Module] = nn.BatchNorm2d, **options: object) -> nn.Module:
    norm = kind(4, eps=0.5, **options).double().train()
    scatter(nn.ModuleList([norm]))
    return norm


@pytest.mark.parametrize('affine', [True, False])
def test_one_value_goes_by_the_running_statistics_and_leaves_them(affine: bool) -> None:
    norm = nn.BatchNorm2d(4, eps=0.5, affine=affine).double().train()
    norm.running_mean.copy_(torch.tensor([1, 2, 3, 4]))
    norm.running_var.copy_(torch.tensor([0.5, 1.5, 2.5, 3.5]))
    if affine:
        nn.init.constant_(norm.weight, 3)
        nn.init.constant_(norm.bias, -1)
    before, x = snapshot(norm), image(1, (1, 1), channels=4).double()
    with pytest.warns(UserWarning, match='after the global pooling of this test one value per channel'):
        found = normalize_pooled(norm, x, place='this test').flatten().tolist()
    for channel, value in enumerate(x.flatten().tolist()):
        expected = (value - (channel + 1)) / (channel + 0.5 + 0.5) ** 0.5
        assert found[channel] == pytest.approx(expected * 3 - 1 if affine else expected, abs=1e-12)
    assert changed(before, norm) == set()


def test_each_place_is_warned_of_once() -> None:
    norm, x = batch_norm(), image(1, (1, 1), channels=4).double()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        for place in ('one head', 'another head', 'one head'):
            normalize_pooled(norm, x, place=place)
    assert [str(warning.message).split(' one value')[0].rpartition(' of ')[2] for warning in caught] == [
        'one head',
        'another head',
    ]


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('batch', [1, 2])
def test_anything_else_is_the_norm_itself(training: bool, batch: int) -> None:
    """Two images, two values of one image, evaluation, and norms that are no batch norm."""
    x = image(batch, (1, 1) if batch > 1 or not training else (1, 2), channels=4).double()
    for norm in (batch_norm(), nn.GroupNorm(1, 4).double(), nn.Identity()):
        norm.train(training)
        kept = snapshot(norm)
        expected, moved = norm(x), snapshot(norm)
        norm.load_state_dict(kept)
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            assert torch.equal(normalize_pooled(norm, x, place='this test'), expected)
        assert changed(moved, norm) == set()


def test_a_norm_without_running_statistics_is_refused() -> None:
    norm = nn.BatchNorm2d(4, track_running_stats=False).train()
    with pytest.raises(ValueError, match='more than 1 value per channel'):
        normalize_pooled(norm, image(1, (1, 1), channels=4), place='this test')


def test_a_synchronised_norm_sees_the_values_of_its_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    x = image(3, (2, 5), channels=4)
    group = object()
    synchronised, plain = nn.SyncBatchNorm(4, process_group=group), nn.BatchNorm2d(4)
    assert (values_per_channel(synchronised, x), values_per_channel(plain, x)) == (30, 30)
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.distributed, 'get_world_size', {group: 4}.__getitem__)
    assert (values_per_channel(synchronised, x), values_per_channel(plain, x)) == (120, 30)
