"""Batch norm over processes: statistics, outputs and gradients against formulas on all inputs at once."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.distributed as dist
from mmcv.cnn import ConvModule, build_norm_layer
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import Tensor, nn

from resnest_mm.models import SplitAttention
from resnest_mm.models.layers.naive_sync_bn import NaiveSyncBN
from tests.support.processes import needs_processes, run_in_two_processes
from tests.support.tiny_backbones import image, scatter, tiny

NORM_CFG: dict[str, Any] = {'type': 'resnest_mm.NaiveSyncBN', 'requires_grad': True}
BATCHES = (1, 3)
"""Images on each of the two processes: the weights of equal processes and of equal images differ."""


def layer(**arguments: Any) -> NaiveSyncBN:
    norm = NaiveSyncBN(3, **arguments).double()
    if norm.affine and norm.track_running_stats:
        scatter(norm)
    return norm


def share(rank: int, size: tuple[int, int] = (2, 5)) -> Tensor:
    """Return the images of one process, which no other has, around a mean that is not 0."""
    return 1 + (rank + 1) * image(BATCHES[rank], size, channels=3, seed=rank).double()


def loss_of(y: Tensor, rank: int) -> Tensor:
    """Return a loss that tells all values and the two processes apart."""
    return (y.sin() * torch.linspace(0.5, 2 + rank, y.numel(), dtype=y.dtype).view_as(y)).sum()


def step(norm: NaiveSyncBN, rank: int) -> dict[str, Tensor]:
    x = share(rank).requires_grad_()
    y = norm.train()(x)
    loss_of(y, rank).backward()
    gradients = {f'{name}.grad': p.grad for name, p in norm.named_parameters() if p.grad is not None}
    return {'x.grad': x.grad, 'y': y.detach(), **gradients, **dict(norm.named_buffers())}


def step_of_all(norm: NaiveSyncBN) -> list[dict[str, Tensor]]:
    """Return by explicit formulas what `step` gives each process."""
    shares = [share(rank).requires_grad_() for rank in range(2)]
    one = torch.ones(3, dtype=torch.float64)
    weight = (one if norm.weight is None else norm.weight.detach().clone()).requires_grad_()
    bias = (0 * one if norm.bias is None else norm.bias.detach().clone()).requires_grad_()
    outputs = [torch.empty_like(x) for x in shares]
    means, variances = [], []
    for c in range(3):
        mean = sum(x[:, c].sum() / x[:, c].numel() for x in shares) / 2
        var = sum((x[:, c] ** 2).sum() / x[:, c].numel() for x in shares) / 2 - mean**2
        for x, y in zip(shares, outputs, strict=True):
            y[:, c] = (x[:, c] - mean) / (var + norm.eps) ** 0.5 * weight[c] + bias[c]
        means.append(mean.detach())
        variances.append(var.detach())
    losses = [loss_of(y, rank) for rank, y in enumerate(outputs)]
    input_gradients = torch.autograd.grad(losses[0] + losses[1], shares, retain_graph=True)
    results = []
    for rank in range(2):
        found = {'x.grad': input_gradients[rank], 'y': outputs[rank].detach()}
        if norm.affine:
            own = torch.autograd.grad(losses[rank], [weight, bias], retain_graph=True)
            found |= dict(zip(('weight.grad', 'bias.grad'), own, strict=True))
        if norm.track_running_stats:
            before = int(norm.num_batches_tracked)
            factor = 1 / (before + 1) if norm.momentum is None else norm.momentum
            for name, batch in (('running_mean', means), ('running_var', variances)):
                old = getattr(norm, name)
                found[name] = torch.stack([(1 - factor) * old[c] + factor * batch[c] for c in range(3)])
            found['num_batches_tracked'] = torch.tensor(before + 1)
        results.append(found)
    return results


CASES: dict[str, dict[str, Any]] = {
    'default': {},
    'other-numbers': {'eps': 0.3, 'momentum': 0.7},
    'cumulative': {'momentum': None},
    'momentum-1': {'momentum': 1.0},
    'not-affine': {'affine': False},
    'untracked': {'track_running_stats': False},
}


def layer_steps(rank: int) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for name, arguments in CASES.items():
        norm = layer(**arguments)
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.fill_(2)
        results[name] = step(norm, rank)
    norm = layer()
    buffers = dict(norm.named_buffers())
    step(norm, rank)
    results['in place'] = all(buffer is buffers[name] for name, buffer in norm.named_buffers())
    for kind in (torch.float16, torch.bfloat16):
        results[str(kind)] = low_precision(rank, kind)
    results['pooled'] = pooled(rank)
    results['empty'] = refused(layer().train(), torch.zeros(0, 3, 2, 2).double())
    results['channels'] = refused(layer().train(), torch.zeros(2, 4, 2, 2).double())
    results['eval'] = layer().eval()(share(rank)).detach()
    results['constant'] = NaiveSyncBN(3).train()(torch.full((1, 3, 4, 4), 1000.1)).detach()
    group = [dist.new_group([r]) for r in range(2)][rank]
    results['group'] = step(layer(process_group=group), rank)
    results['unequal backbone'] = [backbone_step(rank, images=rank + 1, with_cp=with_cp) for with_cp in (False, True)]
    results['equal backbone'] = backbone_step(rank, images=2, with_cp=False)
    return results


def low_precision(rank: int, kind: torch.dtype) -> dict[str, Tensor]:
    """Return a step in mixed precision: low-precision maps, float32 parameters, under autocast."""
    norm = layer().float().train()
    x = (200 * share(rank)).to(kind).requires_grad_()  # a square beyond float16's 65,504
    with torch.autocast('cpu', dtype=torch.bfloat16):
        y = norm(x)
    loss_of(y.float(), rank).backward()
    return {'x': x.detach(), 'y': y.detach(), 'x.grad': x.grad, **dict(norm.named_buffers())}


def pooled(rank: int) -> dict[str, Tensor]:
    """Return how split attention normalises the pooled value of one image on each process, and of one and two."""
    attention = SplitAttention(8, 8, norm=NaiveSyncBN).double().train()
    scatter(attention)
    results = {}
    for name, images in (('equal', 1), ('unequal', rank + 1)):
        context = image(images, (1, 1), channels=32, seed=rank).double()
        before = attention.bn1.running_mean.clone()
        y = attention.normalize_context(context)
        results |= {f'{name}.x': context, f'{name}.y': y.detach()}
        results[f'{name}.moved'] = torch.tensor((attention.bn1.running_mean != before).all())
    results |= {'weight': attention.bn1.weight.detach(), 'bias': attention.bn1.bias.detach()}
    return results


def refused(norm: NaiveSyncBN, x: Tensor) -> str:
    before = copy.deepcopy(norm.state_dict())
    with pytest.raises(ValueError) as caught:
        norm(x)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    return str(caught.value)


@pytest.fixture(scope='module')
def steps(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run_in_two_processes(layer_steps, tmp_path_factory.mktemp('steps'))


@needs_processes
@pytest.mark.parametrize('case', CASES)
def test_a_step_is_the_formula_on_all_images_with_equal_processes(steps: list[dict[str, Any]], case: str) -> None:
    """Outputs, gradients of input and parameters, and running statistics."""
    norm = layer(**CASES[case])
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.fill_(2)
    for found, expected in zip([s[case] for s in steps], step_of_all(norm), strict=True):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10, msg=lambda m, n=name: f'{n}: {m}')


@needs_processes
def test_processes_keep_the_same_statistics_to_the_bit(steps: list[dict[str, Any]]) -> None:
    for case in CASES:
        first, second = (s[case] for s in steps)
        for name in ('running_mean', 'running_var'):
            assert name not in first or torch.equal(first[name], second[name])


@needs_processes
def test_statistics_are_updated_in_place(steps: list[dict[str, Any]]) -> None:
    """DDP and averaged models hold on to the tensors."""
    assert all(s['in place'] for s in steps)


@needs_processes
def test_running_variance_is_the_biased_one(steps: list[dict[str, Any]]) -> None:
    """Of equal processes: neither torch's n/(n-1), nor a mean over all images."""
    found = steps[0]['momentum-1']['running_var']
    first, second = share(0), share(1)
    for c in range(3):
        values = [first[:, c].flatten().tolist(), second[:, c].flatten().tolist()]
        mean = sum(sum(own) / len(own) for own in values) / 2
        var = sum(sum((v - mean) ** 2 for v in own) / len(own) for own in values) / 2
        assert float(found[c]) == pytest.approx(var, rel=1e-10)


@needs_processes
@pytest.mark.parametrize('kind', [torch.float16, torch.bfloat16], ids=str)
def test_low_precision_is_computed_in_float32_and_returned_as_it_came(
    steps: list[dict[str, Any]], kind: torch.dtype
) -> None:
    found = [s[str(kind)] for s in steps]
    norm = layer()
    shares = [f['x'].double() for f in found]
    mean = sum(x.mean((0, 2, 3)) for x in shares) / 2
    var = sum((x - mean.view(1, 3, 1, 1)).square().mean((0, 2, 3)) for x in shares) / 2
    for x, f in zip(shares, found, strict=True):
        assert (f['y'].dtype, f['x.grad'].dtype, f['running_mean'].dtype) == (kind, kind, torch.float32)
        expected = (x - mean.view(1, 3, 1, 1)) / (var + norm.eps).sqrt().view(1, 3, 1, 1)
        expected = expected * norm.weight.view(1, 3, 1, 1) + norm.bias.view(1, 3, 1, 1)
        torch.testing.assert_close(f['y'], expected.detach().to(kind), rtol=1e-5, atol=2 * torch.finfo(kind).eps)
        torch.testing.assert_close(f['running_mean'].double(), 0.9 * norm.running_mean + 0.1 * mean, rtol=1e-5, atol=0)
        torch.testing.assert_close(f['running_var'].double(), 0.9 * norm.running_var + 0.1 * var, rtol=1e-5, atol=0)
        assert f['x.grad'].isfinite().all()


@needs_processes
def test_a_constant_channel_gives_no_nan(steps: list[dict[str, Any]]) -> None:
    """Float32 can make the mean of the squares smaller than the square of the mean."""
    assert all(s['constant'].isfinite().all() for s in steps)


@needs_processes
def test_evaluation_does_not_synchronise(steps: list[dict[str, Any]]) -> None:
    norm = layer()
    plain = nn.BatchNorm2d(3).double()
    plain.load_state_dict(norm.state_dict())
    for rank in range(2):
        assert torch.equal(steps[rank]['eval'], plain.eval()(share(rank)))


@needs_processes
def test_a_process_group_of_one_is_plain_batch_norm(steps: list[dict[str, Any]]) -> None:
    for rank in range(2):
        plain = nn.BatchNorm2d(3).double()
        plain.load_state_dict(layer().state_dict())
        expected = step(plain, rank)  # type: ignore[arg-type]
        assert all(torch.equal(value, steps[rank]['group'][name]) for name, value in expected.items())


@needs_processes
def test_an_input_without_values_or_with_other_channels_is_refused_and_changes_nothing(
    steps: list[dict[str, Any]],
) -> None:
    for found in steps:
        assert found['empty'].startswith('an input of shape (0, 3, 2, 2) has no values, and the other processes wait')
        assert found['channels'] == 'an input of shape (2, 4, 2, 2) must have num_features=3 channels'


@needs_processes
@pytest.mark.parametrize('case', ['equal', 'unequal'])
def test_one_image_on_each_process_is_normalised_by_all_of_them(steps: list[dict[str, Any]], case: str) -> None:
    """Split attention must not fall back to running statistics on one process while another waits for its share."""
    found = [s['pooled'] for s in steps]
    shares = [f[f'{case}.x'][:, :, 0, 0] for f in found]
    mean = sum(x.sum(0) / len(x) for x in shares) / 2
    var = sum((x**2).sum(0) / len(x) for x in shares) / 2 - mean**2
    for x, f in zip(shares, found, strict=True):
        expected = (x - mean) / (var + 1e-5).sqrt() * f['weight'] + f['bias']
        torch.testing.assert_close(f[f'{case}.y'][:, :, 0, 0], expected, rtol=1e-9, atol=1e-9)
        assert f[f'{case}.moved']


def backbone_step(rank: int, *, images: int, with_cp: bool) -> dict[str, Tensor]:
    """Return the gradients and statistics of a training step of a whole backbone whose first stage is frozen."""
    backbone = tiny(base_channels=8, frozen_stages=1, norm_cfg=NORM_CFG, with_cp=with_cp).double()
    backbone.load_state_dict(backbone.state_dict())
    model = nn.parallel.DistributedDataParallel(backbone, broadcast_buffers=False).train()
    sum(x.square().mean() for x in model(image(images, seed=rank).double())[1:]).backward()
    gradients = {f'{name}.grad': p.grad for name, p in backbone.named_parameters() if p.grad is not None}
    return {**gradients, **dict(backbone.named_buffers())}


@needs_processes
def test_a_backbone_in_ddp_keeps_processes_equal_with_and_without_checkpointing(steps: list[dict[str, Any]]) -> None:
    plain, *others = (state for s in steps for state in s['unequal backbone'])
    assert len(others) == 3
    for other in others:
        assert plain.keys() == other.keys()
        assert all(torch.equal(plain[name], other[name]) for name in plain)
    start = dict(tiny(base_channels=8, norm_cfg=NORM_CFG).double().named_buffers())
    moved = {name for name in start if not torch.equal(start[name], plain[name])}
    assert moved == {name for name in start if name.startswith(('layer2', 'layer3', 'layer4'))}
    assert {int(plain[name]) for name in moved if name.endswith('num_batches_tracked')} == {1}


@needs_processes
def test_gradient_of_a_backbone_is_that_of_one_process_with_all_images(steps: list[dict[str, Any]]) -> None:
    """With equally many images, all ways of weighing processes agree, and DDP's mean is the mean over images."""
    backbone = tiny(base_channels=8, frozen_stages=1, norm_cfg={'type': 'BN'}).double()
    backbone.load_state_dict(backbone.state_dict())
    x = torch.cat([image(2, seed=rank) for rank in range(2)]).double()
    sum(y.square().mean() for y in backbone.train()(x)[1:]).backward()
    wanted = {f'{name}.grad': p.grad for name, p in backbone.named_parameters() if p.grad is not None}
    assert len(wanted) > 30
    for name, gradient in wanted.items():
        for found in steps:
            torch.testing.assert_close(
                found['equal backbone'][name], gradient, rtol=1e-6, atol=1e-9, msg=lambda m, n=name: f'{n}: {m}'
            )


@pytest.mark.parametrize('training', [True, False], ids=['train', 'eval'])
@pytest.mark.parametrize('arguments', CASES.values(), ids=CASES)
@pytest.mark.parametrize('kind', [torch.float32, torch.bfloat16], ids=str)
def test_alone_it_is_torchs_batch_norm_bit_for_bit(
    arguments: dict[str, Any], training: bool, kind: torch.dtype
) -> None:
    ours, plain = NaiveSyncBN(3, **arguments).train(training), nn.BatchNorm2d(3, **arguments).train(training)
    assert ours.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(ours.state_dict())
    outputs = []
    for norm in (ours, plain):
        x = share(1).to(kind).requires_grad_()
        y = norm(norm(x))
        y.square().sum().backward()
        outputs.append([y, x.grad, *norm.buffers(), *(p.grad for p in norm.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*outputs, strict=True))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'momentum': 9}, r'momentum=9 must lie in \[0, 1\], or be None'),
        ({'momentum': -0.1}, r'momentum=-0.1 must lie in'),
        ({'eps': -1e-5}, 'eps=-1e-05 must be at least 0'),
    ],
)
def test_wrong_numbers_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NaiveSyncBN(3, **arguments)


@pytest.mark.parametrize('extra', [{}, {'eps': 0.01, 'momentum': 0.3}, {'momentum': None, 'requires_grad': False}])
def test_configs_build_it_under_batch_norms_name(extra: dict[str, Any]) -> None:
    cfg = {**NORM_CFG, **extra}
    name, norm = build_norm_layer(cfg, 4, postfix=1)
    assert (name, type(norm)) == ('bn1', NaiveSyncBN)
    assert (norm.eps, norm.momentum) == (extra.get('eps', 1e-5), extra.get('momentum', 0.1))
    assert {p.requires_grad for p in norm.parameters()} == {cfg['requires_grad']}
    assert cfg == {**NORM_CFG, **extra}


def test_modules_of_hosts_take_it_as_a_batch_norm() -> None:
    conv = ConvModule(3, 4, 1, norm_cfg=NORM_CFG)
    assert conv.norm_name == 'bn' and isinstance(conv.norm, NaiveSyncBN) and conv.conv.bias is None
    fpn = pytest.importorskip('mmdet.models.necks', reason='needs mmdet').FPN([4, 4], 4, 2, norm_cfg=NORM_CFG)
    assert sum(isinstance(module, NaiveSyncBN) for module in fpn.modules()) == 4


def test_weight_decay_of_norms_covers_it() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), NaiveSyncBN(4))
    constructor = DefaultOptimWrapperConstructor(
        {'type': 'OptimWrapper', 'optimizer': {'type': 'SGD', 'lr': 0.1, 'weight_decay': 0.5}},
        paramwise_cfg={'norm_decay_mult': 0.0},
    )
    groups = constructor(model).optimizer.param_groups
    assert [group['weight_decay'] for group in groups] == [0.5, 0.5, 0.0, 0.0]


def test_frozen_stages_and_norm_eval_stop_it() -> None:
    frozen = tiny(frozen_stages=1, norm_cfg=NORM_CFG)
    frozen.load_state_dict(frozen.state_dict())
    still = [name for name, m in frozen.train().named_modules() if isinstance(m, NaiveSyncBN) and not m.training]
    assert len(still) == 3 + 5 and all(name.startswith(('stem', 'layer1')) for name in still)
    stopped = tiny(norm_eval=True, norm_cfg=NORM_CFG)
    stopped.load_state_dict(stopped.state_dict())
    assert not any(m.training for m in stopped.train().modules() if isinstance(m, NaiveSyncBN))
