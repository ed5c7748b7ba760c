"""`with_cp` saves memory and changes no output, gradient or running statistic by a single bit."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resnest_mm.models.layers.activation_checkpointing import run_checkpointed
from tests.support.processes import needs_processes, run_in_two_processes
from tests.support.tiny_backbones import batch_norms, changed, image, scatter, snapshot, tiny

CASES: dict[str, dict[str, Any]] = {
    'plain': {},
    'frozen-stem': {'frozen_stages': 0},
    'frozen-stage': {'frozen_stages': 1},
    'norm-eval': {'norm_eval': True},
    'drop-path': {'drop_path_rate': 0.5},
    'sync-norm': {'norm_cfg': {'type': 'SyncBN'}},
    'cumulative-norm': {'norm_cfg': {'type': 'BN', 'momentum': None}},
    'instance-norm': {'norm_cfg': {'type': 'IN', 'track_running_stats': True, 'affine': True}},
    'group-norm': {'norm_cfg': {'type': 'GN', 'num_groups': 4}},
    'untracked-norm': {'norm_cfg': {'type': 'BN', 'track_running_stats': False}},
}


def two_steps(with_cp: bool, *, batch: int = 3, **arguments: Any) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Return the losses, gradients of two training steps, and the state dict after them."""
    backbone = tiny(26, num_stages=2, with_cp=with_cp, **arguments)
    scatter_all(backbone)
    backbone.train()
    optimizer = torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=0.01)
    results = []
    torch.manual_seed(5)
    for seed in (1, 2):
        optimizer.zero_grad()
        loss = sum(x.square().mean() for x in backbone(image(batch, seed=seed)))
        loss.backward()
        optimizer.step()
        results += [loss.detach(), *(p.grad.clone() for p in backbone.parameters() if p.grad is not None)]
    return results, snapshot(backbone)


def scatter_all(backbone: nn.Module) -> None:
    if all(norm.running_mean is not None and norm.affine for norm in batch_norms(backbone).values()):
        scatter(backbone)
    backbone.load_state_dict(backbone.state_dict())  # frozen weights count as loaded then


@pytest.mark.parametrize('arguments', CASES.values(), ids=CASES)
def test_losses_gradients_and_buffers_are_the_same_bits(arguments: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        plain, plain_state = two_steps(False, **arguments)
        checkpointed, checkpointed_state = two_steps(True, **arguments)
    assert len(plain) == len(checkpointed) > 2
    assert all(torch.equal(a, b) for a, b in zip(plain, checkpointed, strict=True))
    assert all(torch.equal(value, checkpointed_state[name]) for name, value in plain_state.items())


@pytest.mark.filterwarnings('ignore:a training batch of one image')
def test_one_image_is_the_same_too() -> None:
    plain, plain_state = two_steps(False, batch=1)
    checkpointed, checkpointed_state = two_steps(True, batch=1)
    assert all(torch.equal(a, b) for a, b in zip(plain, checkpointed, strict=True))
    assert all(torch.equal(value, checkpointed_state[name]) for name, value in plain_state.items())


def test_each_norm_counts_a_batch_once() -> None:
    backbone = tiny(num_stages=2, with_cp=True).train()
    sum(x.square().mean() for x in backbone(image(2))).backward()
    assert {int(norm.num_batches_tracked) for norm in batch_norms(backbone).values()} == {1}


def test_blocks_run_twice_and_only_with_a_graph() -> None:
    """What the argument is for: activations are computed again, not kept, except those of frozen stages."""
    backbone = tiny(num_stages=2, with_cp=True, frozen_stages=1)
    backbone.load_state_dict(backbone.state_dict())
    calls = []
    for name in ('layer1', 'layer2'):
        conv = getattr(backbone, name)[0].conv3
        conv.register_forward_hook(lambda *_, name=name: calls.append(name))
    maps = backbone.train()(image(2))
    assert calls == ['layer1', 'layer2']
    maps[1].sum().backward()
    assert calls == ['layer1', 'layer2', 'layer2']
    calls.clear()
    with torch.no_grad():
        backbone(image(2))
    assert calls == ['layer1', 'layer2']


def test_fewer_activations_are_kept() -> None:
    def saved_bytes(with_cp: bool) -> int:
        sizes: list[int] = []

        def pack(tensor: Tensor) -> Tensor:
            sizes.append(tensor.numel() * tensor.element_size())
            return tensor

        backbone = tiny(26, num_stages=2, with_cp=with_cp).train()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            backbone(image(4, (64, 64)))
        return sum(sizes)

    assert saved_bytes(True) < 0.5 * saved_bytes(False)


def test_statistics_are_the_norms_own_again_after_an_error() -> None:
    class Failing(nn.Sequential):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            y: Tensor = super().forward(x)
            if self.calls == 2:
                raise RuntimeError('second pass')
            return y.square()

    block = Failing(nn.BatchNorm2d(3), nn.InstanceNorm2d(3, track_running_stats=True))
    buffers = dict(block.named_buffers())
    y = run_checkpointed(block, image(2).requires_grad_())
    after_forward = snapshot(block)
    with pytest.raises(RuntimeError, match='second pass'):
        y.sum().backward()
    assert all(buffer is buffers[name] for name, buffer in block.named_buffers())
    assert changed(after_forward, block) == set()


def distributed_step(rank: int) -> list[dict[str, Tensor]]:
    """Return the gradients and statistics of a process after a step without and with `with_cp`."""
    results = []
    for with_cp in (False, True):
        backbone = tiny(26, num_stages=2, with_cp=with_cp, frozen_stages=1, drop_path_rate=0.3)
        backbone.load_state_dict(backbone.state_dict())
        model = nn.parallel.DistributedDataParallel(backbone).train()
        torch.manual_seed(rank)
        for seed in (1, 2):
            model.zero_grad()
            sum(x.square().mean() for x in model(image(2, seed=10 * rank + seed))[1:]).backward()
        gradients = {name: p.grad.clone() for name, p in backbone.named_parameters() if p.grad is not None}
        results.append({**gradients, **dict(backbone.named_buffers())})
    return results


@needs_processes
def test_two_processes_agree(tmp_path: Path) -> None:
    """Checkpointing gives the same gradients and statistics to the bit, and DDP averages them over the processes."""
    (plain, checkpointed), (other, _) = run_in_two_processes(distributed_step, tmp_path)
    assert plain.keys() == checkpointed.keys()
    assert all(torch.equal(plain[name], checkpointed[name]) for name in plain)
    gradients = [name for name in plain if 'running' not in name and 'num_batches' not in name]
    assert gradients and not any(name.startswith(('stem', 'layer1')) for name in gradients)
    assert all(torch.equal(plain[name], other[name]) for name in gradients)


def test_frozen_stage_with_checkpointing_leaves_weights_alone() -> None:
    backbone = tiny(num_stages=2, with_cp=True, frozen_stages=1)
    backbone.load_state_dict(backbone.state_dict())
    before = snapshot(backbone)
    backbone.train()(image(2))[1].sum().backward()
    assert all(name.startswith('layer2.') for name in changed(before, backbone))


def ways_of_backward(backbone: nn.Module, way: str) -> list[Tensor]:
    """Return all gradients after one of the less usual backward passes."""
    x = image(2).requires_grad_()
    loss = sum(y.square().mean() for y in backbone(x))
    parameters = [p for p in backbone.parameters() if p.requires_grad]
    if way == 'twice':
        return [*torch.autograd.grad(loss, parameters, retain_graph=True), *torch.autograd.grad(loss, parameters)]
    if way == 'double':
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        return list(torch.autograd.grad(gradient.square().sum(), parameters, allow_unused=True, materialize_grads=True))
    if way == 'each-map':
        maps = backbone(x)
        return [g for y in maps for g in torch.autograd.grad(y.mean(), x, retain_graph=True)]
    if way == 'in-evaluation':
        backbone.eval()
    elif way == 'after-a-single-image':
        loss = sum(y.square().mean() for y in backbone(image(1))) + loss
        backbone(image(3))
    return list(torch.autograd.grad(loss, parameters))


MORE_CASES: dict[str, dict[str, Any]] = {
    **{name: CASES[name] for name in ('plain', 'frozen-stage', 'drop-path', 'cumulative-norm', 'instance-norm')},
    'plugin': {'plugins': [{'cfg': {'type': 'ContextBlock', 'ratio': 0.25}, 'position': 'after_conv2'}]},
}


@pytest.mark.filterwarnings('ignore:a training batch of one image')
@pytest.mark.parametrize('way', ['twice', 'double', 'each-map', 'in-evaluation', 'after-a-single-image'])
@pytest.mark.parametrize('arguments', MORE_CASES.values(), ids=MORE_CASES)
def test_every_backward_pass_is_the_same_bits(arguments: dict[str, Any], way: str) -> None:
    """Several backward passes through one graph, a backward pass through a gradient, and one in another mode."""
    results = []
    for with_cp in (False, True):
        backbone = tiny(26, num_stages=2, with_cp=with_cp, **arguments)
        scatter_all(backbone)
        backbone.train()
        torch.manual_seed(5)
        gradients = ways_of_backward(backbone, way)
        results.append((gradients, snapshot(backbone), torch.get_rng_state(), backbone.training))
    (plain, state, random, mode), (checkpointed, other_state, other_random, other_mode) = results
    assert len(plain) == len(checkpointed) > 1
    assert all(torch.equal(a, b) for a, b in zip(plain, checkpointed, strict=True))
    assert all(torch.equal(value, other_state[name]) for name, value in state.items())
    assert torch.equal(random, other_random)
    assert mode == other_mode == (way != 'in-evaluation')


def test_both_passes_of_mixed_precision_are_the_same_bits() -> None:
    results = []
    for with_cp in (False, True):
        backbone = tiny(26, num_stages=2, with_cp=with_cp, drop_path_rate=0.3).train()
        scatter_all(backbone)
        torch.manual_seed(5)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            loss = sum(y.float().square().mean() for y in backbone(image(2)))
        for _ in range(2):
            loss.backward(retain_graph=True)
        results.append(([p.grad for p in backbone.parameters()], snapshot(backbone)))
    (plain, state), (checkpointed, other_state) = results
    assert all(torch.equal(a, b) for a, b in zip(plain, checkpointed, strict=True))
    assert all(torch.equal(value, other_state[name]) for name, value in state.items())


def test_a_single_image_has_its_own_gradient_although_statistics_change_before_it() -> None:
    """Torch keeps no copy of the running statistics that a norm used."""
    gradients = []
    for more in (False, True):
        backbone = tiny(num_stages=1).train()
        scatter(backbone)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            loss = backbone(image(1))[0].square().mean()
        if more:
            backbone(image(3))
        gradients.append(torch.autograd.grad(loss, list(backbone.parameters())))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
