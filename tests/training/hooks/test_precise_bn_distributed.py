"""Precise batch norm in two processes: all batches count, and the processes end with the same model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner
from torch import Tensor, nn

from resnest_mm.models.layers.naive_sync_bn import NaiveSyncBN
from resnest_mm.training.hooks.batch_statistics import estimate_statistics
from tests.support.precise_bn import Model, assert_precise, batches, expected, run, scattered
from tests.support.processes import needs_processes, run_in_two_processes
from tests.support.tiny_backbones import snapshot

DISTRIBUTED = {
    'plain': (nn.BatchNorm2d, None),
    'wrapped': (nn.BatchNorm2d, False),
    'broadcasting': (nn.BatchNorm2d, True),
    'synchronised': (NaiveSyncBN, False),
}


def distributed_estimates(folder: str, rank: int) -> dict[str, Any]:
    results = {}
    for case, (norm, broadcast_buffers) in DISTRIBUTED.items():
        model = scattered(norm)
        wrapped: nn.Module = model
        if broadcast_buffers is not None:
            wrapped = MMDistributedDataParallel(
                model, broadcast_buffers=broadcast_buffers, find_unused_parameters=True
            ).train()
        before = snapshot(model)
        if norm is NaiveSyncBN:
            model.forward = only_norm.__get__(model)  # type: ignore[method-assign]  # which layers run must not differ
        estimate_statistics(wrapped, batches(3, seed=rank), num_iters=3)
        results[case] = {'before': before, 'after': snapshot(model), 'seen': model.seen}
    return {**results, 'hook': run_with_hook(folder)}


def run_with_hook(folder: str) -> dict[str, Any]:
    """Return what this process's share of a run saw and ended with; no step moves the weights of the two apart."""
    Runner._log_env = lambda *_: None  # type: ignore[method-assign]
    torch.set_default_dtype(torch.float32)
    runner = run(
        Path(folder) / 'run',
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.0}},
        randomness={'seed': 4, 'diff_rank_seed': True},
    )
    return {'after': snapshot(runner.model), 'seen': runner.model.seen}


def only_norm(self: Model, inputs: Tensor, mode: str) -> Any:
    self.seen.append(inputs.clone())
    return {'loss': self.norm(self.conv(inputs)).sum()}


@pytest.fixture(scope='module')
def estimates(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp('estimates')
    return run_in_two_processes(partial(distributed_estimates, str(folder)), folder)


@needs_processes
@pytest.mark.parametrize('case', ['plain', 'wrapped', 'broadcasting'])
def test_plain_batch_norms_have_the_mean_over_the_batches_of_all_processes(
    estimates: list[dict[str, Any]], case: str
) -> None:
    first, second = (estimate[case] for estimate in estimates)
    assert not torch.equal(first['seen'][0], second['seen'][0])
    wanted = expected(first['before'], [*first['seen'], *second['seen']])
    assert wanted.keys() == {'norm', 'shared', 'rare'}
    for name, (mean, var) in wanted.items():
        torch.testing.assert_close(first['after'][f'{name}.running_mean'], mean, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(first['after'][f'{name}.running_var'], var, rtol=1e-10, atol=1e-10)


@needs_processes
@pytest.mark.parametrize('case', [*DISTRIBUTED, 'hook'])
def test_processes_agree_to_the_bit(estimates: list[dict[str, Any]], case: str) -> None:
    first, second = (estimate[case]['after'] for estimate in estimates)
    names = [f'{name}.{key}' for name in ('norm', 'shared', 'rare') for key in ('running_mean', 'running_var')]
    assert all(torch.equal(first[name], second[name]) for name in names)


@needs_processes
def test_synchronised_norms_have_the_mean_of_their_biased_statistics(estimates: list[dict[str, Any]]) -> None:
    first, second = (estimate['synchronised'] for estimate in estimates)
    weight, bias = first['before']['conv.weight'], first['before']['conv.bias']
    means, variances = [], []
    for pair in zip(first['seen'], second['seen'], strict=True):
        maps = [nn.functional.conv2d(x, weight, bias) for x in pair]
        mean = sum(x.mean((0, 2, 3)) for x in maps) / 2
        means.append(mean)
        variances.append(sum((x - mean.view(1, 3, 1, 1)).square().mean((0, 2, 3)) for x in maps) / 2)
    torch.testing.assert_close(first['after']['norm.running_mean'], sum(means) / 3, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(first['after']['norm.running_var'], sum(variances) / 3, rtol=1e-10, atol=1e-10)


@needs_processes
def test_the_hook_deals_different_images_to_the_processes(estimates: list[dict[str, Any]]) -> None:
    """One shuffle, dealt out, although `diff_rank_seed` gives each process another seed."""
    first, second = (estimate['hook'] for estimate in estimates)
    images = torch.cat([*first['seen'][:2], *second['seen'][:2]])
    assert len(images) == 12 and len({tuple(image.flatten().tolist()) for image in images}) == 12
    assert_precise(first['after'], [*first['seen'], *second['seen']])
