"""Means of batch norm statistics over batches: against formulas, and nothing else changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from resnest_mm.training.hooks.batch_statistics import estimate_statistics
from tests.support.precise_bn import Model, batches, expected, scattered
from tests.support.tiny_backbones import batch_norms, changed, snapshot

RUNNING = ('running_mean', 'running_var')


def test_statistics_are_the_means_over_the_batches() -> None:
    """Also of a layer that each batch runs through twice, and of one that only some do."""
    model = scattered()
    state = snapshot(model)
    assert estimate_statistics(model, batches(5), num_iters=5) == 3
    assert len(model.seen) == 5
    wanted = expected(state, model.seen)
    assert wanted.keys() == {'norm', 'shared', 'rare'}
    for name, (mean, var) in wanted.items():
        torch.testing.assert_close(getattr(model, name).running_mean, mean, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(getattr(model, name).running_var, var, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('training', [True, False], ids=['train', 'eval'])
def test_nothing_else_changes(training: bool) -> None:
    """Neither frozen, unused and other norms, nor counters, momenta, modes, gradients and a model's own buffers."""
    model = scattered().train(training)
    model.conv.weight.requires_grad_(False)
    before, modes = snapshot(model), [module.training for module in model.modules()]
    buffers = {name: id(buffer) for name, buffer in model.named_buffers()}
    estimate_statistics(model, batches(3), num_iters=3)
    assert changed(before, model) == {f'{name}.{key}' for name in ('norm', 'shared', 'rare') for key in RUNNING}
    assert [module.training for module in model.modules()] == modes
    momenta = {name: norm.momentum for name, norm in batch_norms(model).items()}
    assert momenta == {name: {'norm': 0.3, 'rare': None}.get(name, 0.1) for name in momenta}
    assert {name: id(buffer) for name, buffer in model.named_buffers()} == buffers
    assert all(p.grad is None for p in model.parameters())
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ['conv.weight']


def test_a_norm_frozen_by_hand_stays_as_it_is_in_a_training_model() -> None:
    model = scattered()
    model.norm.eval()
    before = snapshot(model)
    estimate_statistics(model, batches(3), num_iters=3)
    assert not any(name.startswith('norm.') for name in changed(before, model))


def test_no_more_batches_are_taken_than_asked_for() -> None:
    data = iter(batches(9))
    estimate_statistics(scattered(), data, num_iters=3)
    assert len(list(data)) == 6


def refused(model: Model, data: list[Any], num_iters: Any, error: type[Exception], message: str) -> None:
    before, modes = snapshot(model), [module.training for module in model.modules()]
    momenta = [norm.momentum for norm in batch_norms(model).values()]
    with pytest.raises(error, match=message):
        estimate_statistics(model, data, num_iters=num_iters)
    assert changed(before, model) == set()
    assert [module.training for module in model.modules()] == modes
    assert [norm.momentum for norm in batch_norms(model).values()] == momenta


def test_too_few_batches_are_an_error_and_change_nothing() -> None:
    refused(scattered(), batches(3), 4, ValueError, 'num_iters=4 batches are needed, but there are 3; lower num_iters')


def test_an_error_in_the_model_changes_nothing() -> None:
    model = scattered()
    model.fail_at = 2
    refused(model, batches(3), 3, RuntimeError, 'out of memory')


def test_a_failing_model_in_evaluation_mode_goes_back_to_it() -> None:
    model = scattered().eval()
    model.fail_at = 2
    with pytest.raises(RuntimeError, match='out of memory'):
        estimate_statistics(model, batches(3), num_iters=3)
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize(
    ('num_iters', 'error'), [(0, ValueError), (-1, ValueError), (True, TypeError), (2.5, TypeError)]
)
def test_wrong_numbers_of_batches_are_refused(num_iters: Any, error: type[Exception]) -> None:
    refused(scattered(), batches(3), num_iters, error, f'num_iters={num_iters}')


def test_a_model_without_training_batch_norms_is_refused() -> None:
    class Frozen(Model):
        def train(self, mode: bool = True) -> Frozen:
            super().train(mode)
            for norm in batch_norms(self).values():
                norm.eval()
            return self

    refused(
        Frozen().double().train(),
        batches(3),
        3,
        ValueError,
        'the model has no batch norm that keeps running statistics',
    )


def test_a_state_dict_made_before_is_not_changed_by_a_failure() -> None:
    """Restoring must be in place: optimisers, averages and checkpoints hold the same tensors."""
    model = scattered()
    model.fail_at = 3
    held = model.state_dict()
    values = copy.deepcopy(held)
    with pytest.raises(RuntimeError):
        estimate_statistics(model, batches(3), num_iters=3)
    assert all(torch.equal(held[name], value) for name, value in values.items())
