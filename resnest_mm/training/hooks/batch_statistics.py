"""Precise batch norm statistics: means over many batches instead of moving averages."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from resnest_mm.models.arguments.checks import integer
from resnest_mm.models.layers.norm import AnyBatchNorm

Statistics = dict[str, tuple[Tensor, Tensor]]
"""Running mean and variance of each layer, by its name."""


def estimate_statistics(model: nn.Module, batches: Iterable[Any], *, num_iters: int) -> int:
    """Replace the running statistics of a model's batch norms by means over batches.

    Nothing else in the model changes. Frozen batch norms, which are in eval mode during training, do not change either.
    In distributed training all processes must call this.

    Args:
        model: A model of mmengine, wrapped or not. A model in eval mode is put in training mode by its `train()`, and
            back afterwards. A model in training mode is used as it is.
        batches: The batches of a training dataloader.
        num_iters: Number of batches to use in each process, at least 1.

    Returns:
        The number of layers with new statistics.

    Raises:
        ValueError: There are too few batches, or no batch norm is trained. After any error the model is unchanged.

    Source: Y. Wu and J. Johnson, arXiv:2105.07576, section 3, "PreciseBN".
    """
    integer('num_iters', num_iters, least=1)
    modes = {module: module.training for module in model.modules()}
    try:
        if not model.training:
            model.train()
        statistics = measure(model, batches, num_iters=num_iters)
    finally:
        for module, training in modes.items():
            module.training = training
    write(model, statistics)
    return len(statistics)


def measure(model: nn.Module, batches: Iterable[Any], *, num_iters: int) -> Statistics:
    """Return the mean of the batch means and the mean of the batch variances, over the batches of all processes.

    If a layer runs several times for one batch, the mean of these runs is used. A layer that never runs has no entry.
    The losses are computed as in training, in full precision and without gradients, and then dropped: in a detector,
    the sampling of the losses decides which features reach the heads.

    Args:
        model: A model of mmengine in training mode, wrapped or not; it is unchanged afterwards.
        batches: The batches of a training dataloader.
        num_iters: Number of batches to use in each process, at least 1.

    Raises:
        ValueError: There are too few batches, or no batch norm is trained.
    """
    layers = training_batch_norms(model)
    if not layers:
        raise ValueError('the model has no batch norm that keeps running statistics in training, so none to estimate')
    sums = {name: torch.zeros(1 + 2 * layer.num_features, dtype=torch.float64) for name, layer in layers.items()}
    seen = 0
    with torch.no_grad(), _restored(unwrapped(model), layers.values()):
        for layer in layers.values():
            layer.momentum = None  # torch then keeps the plain mean since the counter was 0
        for batch in itertools.islice(batches, num_iters):
            for layer in layers.values():
                _counter(layer).zero_()
            _compute_losses(model, batch)
            for name, layer in layers.items():
                if _counter(layer) > 0:
                    sums[name] += _with_count(layer)
            seen += 1
    if seen < num_iters:
        raise ValueError(
            f'num_iters={num_iters} batches are needed, but there are {seen}; lower num_iters or use an InfiniteSampler'
        )
    # Synchronised batch norms already have the same statistics in all processes; their mean does not change them.
    flat = torch.cat(list(sums.values()))
    all_reduce(flat)
    statistics = {}
    for name, total in zip(sums, torch.split(flat, [len(s) for s in sums.values()]), strict=True):
        if total[0] > 0:
            mean, var = (total[1:] / total[0]).chunk(2)
            statistics[name] = (mean, var)
    return statistics


@torch.no_grad()
def write(model: nn.Module, statistics: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """Write statistics into the batch norms of a model.

    Args:
        model: The measured model or a copy of it, wrapped or not.
        statistics: The result of `measure`.
    """
    for name, (mean, var) in statistics.items():
        layer: Any = unwrapped(model).get_submodule(name)
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(var)


def training_batch_norms(model: nn.Module) -> dict[str, AnyBatchNorm]:
    """Return the batch norms that update their running statistics in the current mode of the model, by name.

    Args:
        model: Any model, wrapped or not.
    """
    return {
        name: module
        for name, module in unwrapped(model).named_modules()
        if isinstance(module, AnyBatchNorm) and module.training and module.track_running_stats
    }


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model inside mmengine's wrapper for distributed training, or the model itself."""
    inner: nn.Module = model.module if is_model_wrapper(model) else model  # type: ignore[assignment]
    return inner


def _counter(layer: AnyBatchNorm) -> Tensor:
    assert layer.num_batches_tracked is not None
    return layer.num_batches_tracked


def _with_count(layer: AnyBatchNorm) -> Tensor:
    assert layer.running_mean is not None and layer.running_var is not None
    return torch.cat([torch.ones(1), layer.running_mean.cpu(), layer.running_var.cpu()]).double()


def _compute_losses(model: nn.Module, batch: Any) -> None:
    inner: Any = unwrapped(model)
    data = inner.data_preprocessor(batch, training=True)
    if isinstance(data, dict):
        model(**data, mode='loss')
    else:
        model(*data, mode='loss')


@contextlib.contextmanager
def _restored(model: nn.Module, layers: Iterable[AnyBatchNorm]) -> Iterator[None]:
    momenta = [(layer, layer.momentum) for layer in layers]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    try:
        yield
    finally:
        for layer, momentum in momenta:
            layer.momentum = momentum
        for module, name, buffer, value in buffers:
            setattr(module, name, buffer)
            if not torch.equal(buffer, value):
                buffer.copy_(value)
