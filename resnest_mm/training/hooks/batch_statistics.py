"""Batch norm statistics as plain means over many batches, instead of the last few that training weighs most."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.model import is_model_wrapper
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resnest_mm.models.arguments.checks import integer

Statistics = dict[str, tuple[Tensor, Tensor]]
"""Running mean and running variance by the layer's name."""


def estimate_statistics(model: nn.Module, batches: Iterable[Any], *, num_iters: int) -> int:
    """Replace the running statistics of a model's batch norms by their means over batches.

    The weights stay, and so does everything else that the model keeps. Frozen batch norms, which are in evaluation mode
    while the rest trains, stay as well. In distributed training every process calls this.

    Args:
        model: A model of mmengine, wrapped or not. One that is in evaluation mode is put in training mode by its own
            `train()` meanwhile; one in training mode is taken as it stands.
        batches: What a training dataloader yields.
        num_iters: How many of the batches to use, at least 1, in every process.

    Returns:
        How many layers have new statistics.

    Raises:
        ValueError: There are fewer batches, or no batch norms that train. The model is as it was then, as after any
            other error.

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
    """Return the means of batch means and of batch variances, over the batches of all processes.

    A layer that a batch runs through several times counts with the mean of these; one that no batch runs through has no
    entry. Losses are computed as in training, since their sampling decides what reaches a detector's heads, but in full
    precision, without gradients, and then dropped.

    Args:
        model: A model of mmengine in training mode, wrapped or not; it is left as it was.
        batches: What a training dataloader yields.
        num_iters: How many of the batches to use, at least 1, in every process.

    Raises:
        ValueError: As `estimate_statistics`.
    """
    layers = training_batch_norms(model)
    if not layers:
        raise ValueError('the model has no batch norm that keeps running statistics in training, so none to estimate')
    sums = {name: torch.zeros(1 + 2 * layer.num_features, dtype=torch.float64) for name, layer in layers.items()}
    seen = 0
    with torch.no_grad(), _put_back(unwrapped(model), layers.values()):
        for layer in layers.values():
            layer.momentum = None  # a plain mean over what came since the counter was 0
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
            f'num_iters={num_iters} batches were asked for and {seen} came; lower num_iters, or take an InfiniteSampler'
        )
    # Only plain batch norms differ between processes; a synchronised one's mean over them is what each has already.
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
    """Give batch norms the statistics found for them.

    Args:
        model: The model they were measured on or a copy, wrapped or not.
        statistics: What `measure` returned.
    """
    for name, (mean, var) in statistics.items():
        layer: Any = unwrapped(model).get_submodule(name)
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(var)


def training_batch_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    """Return the batch norms that update running statistics in the mode in which the model is, by name.

    Args:
        model: Any model, wrapped or not.
    """
    return {
        name: module
        for name, module in unwrapped(model).named_modules()
        if isinstance(module, _BatchNorm) and module.training and module.track_running_stats
    }


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model inside mmengine's wrapper for distributed training, or the model itself."""
    inner: nn.Module = model.module if is_model_wrapper(model) else model  # type: ignore[assignment]
    return inner


def _counter(layer: _BatchNorm) -> Tensor:
    assert layer.num_batches_tracked is not None
    return layer.num_batches_tracked


def _with_count(layer: _BatchNorm) -> Tensor:
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
def _put_back(model: nn.Module, layers: Iterable[_BatchNorm]) -> Iterator[None]:
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
