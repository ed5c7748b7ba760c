"""Compare a backbone with a network of another package: same weights, same images, largest relative difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import torch
from torch import Tensor, nn

from resnest_mm.models.layers.norm import AnyBatchNorm
from resnest_mm.parity.pair import Pair

IMAGES: Final = 4
"""Images in a batch. With two, the norm after the global pooling would amplify rounding: it sees a value per image."""

SMALLEST: Final = 32
"""Smallest side of an image in pixels; the last stage then has one pixel."""


@dataclass(frozen=True)
class Differences:
    """Largest absolute difference divided by the largest absolute value, the worst of all tensors.

    A value is not finite if the networks cannot be compared.

    Args:
        eval: Difference of the feature maps C2 to C5 in eval mode.
        train: Difference of these feature maps in training mode.
        statistics: Difference of the running statistics after a training step.
        gradients: Difference of the gradients of all parameters in training mode, in float64. It is relative to the
            largest gradient of the layer, since the gradient of a bias before a norm is only rounding. None if
            gradients were not compared.
    """

    eval: float
    train: float
    statistics: float
    gradients: float | None


@dataclass(frozen=True)
class Row:
    """One row of the table: a comparison and its verdict."""

    label: str
    differences: Differences
    tolerance: float

    @property
    def passed(self) -> bool:
        """Return whether every difference is within the tolerance; one that is not finite is not."""
        values = (getattr(self.differences, field.name) for field in fields(self.differences))
        return all(value <= self.tolerance for value in values if value is not None)


def compare(pair: Pair, *, size: int = 64, seed: int = 0) -> Row:
    """Compare the networks of a pair with the same random weights, running statistics and images.

    Args:
        pair: The networks.
        size: Side of the images in pixels, at least 32.
        seed: Seed of the random numbers; the global random state is restored.

    Raises:
        RuntimeError: The state dicts do not have the same keys and shapes.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        reference = pair.build_reference()
        randomise(reference)
        backbone = pair.build()
        backbone.load_state_dict(pair.rename(reference.state_dict()))
        images = random_images(size)

        reference.eval()  # the hosts' train() and eval() return None
        backbone.eval()
        with torch.no_grad():
            evaluated = worst(pair.reference_maps(reference, images), backbone(images))
        reference.train()
        backbone.train()
        with torch.no_grad():
            trained = worst(pair.reference_maps(reference, images), backbone(images))
        differences = Differences(
            eval=evaluated,
            train=trained,
            statistics=_compare_statistics(pair, reference, backbone),
            gradients=_compare_gradients(pair, reference, backbone, images) if pair.gradients else None,
        )
    return Row(label=pair.label, differences=differences, tolerance=pair.tolerance)


def randomise(network: nn.Module) -> None:
    """Give all batch norms random parameters and statistics, since a new network has the same in every channel.

    The last norm of a block gets small weights, so that features do not grow from block to block and amplify rounding.
    """
    for name, module in network.named_modules():
        if isinstance(module, AnyBatchNorm):
            assert module.running_mean is not None and module.running_var is not None
            scale = 0.2 if name.endswith('.bn3') else 1.0
            with torch.no_grad():
                module.weight.uniform_(0.5 * scale, 1.5 * scale)
                module.bias.normal_(0, 0.1)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)


def random_images(size: int) -> Tensor:
    """Return noise with another contrast and colour in each image, because the attention sees only averages."""
    noise = torch.randn(IMAGES, 3, size, size)
    return noise * (0.5 + torch.rand(IMAGES, 1, 1, 1)) + torch.randn(IMAGES, 3, 1, 1)


def worst(expected: Sequence[Tensor], actual: Sequence[Tensor]) -> float:
    """Return the worst relative difference of tensors in the same order; infinite if their number or shapes differ."""
    if [tensor.shape for tensor in expected] != [tensor.shape for tensor in actual]:
        return math.inf
    ratios = [(ours - theirs).abs().max() / theirs.abs().max() for theirs, ours in zip(expected, actual, strict=True)]
    return float(torch.stack(ratios).max())


def render_table(rows: Sequence[Row], *, markdown: bool) -> str:
    """Return the comparisons as a table, without a newline at the end.

    Args:
        rows: The comparisons.
        markdown: Whether the table is Markdown instead of aligned plain text.
    """
    head = ['network', 'eval', 'train', 'statistics', 'gradients', 'tolerance', 'verdict']
    cells = [_cells(row) for row in rows]
    if markdown:
        return '\n'.join(f'| {" | ".join(line)} |' for line in (head, ['---'] * len(head), *cells))
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    return '\n'.join(
        '  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (head, *cells)
    )


def _cells(row: Row) -> list[str]:
    values = (getattr(row.differences, field.name) for field in fields(row.differences))
    differences = ['-' if value is None else _number(value) for value in values]
    return [row.label, *differences, _number(row.tolerance), 'equal' if row.passed else 'DIFFERENT']


def _number(value: float) -> str:
    return '0' if value == 0 else f'{value:.0e}'.replace('e-0', 'e-')


def _compare_statistics(pair: Pair, reference: nn.Module, backbone: nn.Module) -> float:
    def statistics(network: nn.Module) -> dict[str, Tensor]:
        return {name: value for name, value in network.named_buffers() if '.running_' in name}

    expected, actual = pair.rename(statistics(reference)), statistics(backbone)
    if expected.keys() != actual.keys():
        return math.inf
    return worst(list(expected.values()), [actual[name] for name in expected])


def _compare_gradients(pair: Pair, reference: nn.Module, backbone: nn.Module, images: Tensor) -> float:
    expected = pair.reference_maps(reference.double(), images.double())
    weights = [torch.randn_like(value) for value in expected]
    torch.autograd.backward(list(expected), weights)
    torch.autograd.backward(list(backbone.double()(images.double())), weights)
    return worst_by_layer(pair.rename(_gradients(reference)), _gradients(backbone))


def _gradients(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.grad for name, value in network.named_parameters() if value.grad is not None}


def worst_by_layer(expected: Mapping[str, Tensor], actual: Mapping[str, Tensor]) -> float:
    """Return the worst difference of tensors of the same names, relative to the largest value of each layer.

    Args:
        expected: Tensors by parameter name.
        actual: Tensors to compare with them; other names or shapes make the difference infinite.
    """
    layers: dict[str, list[str]] = {}
    for name in expected:
        layers.setdefault(name.rpartition('.')[0], []).append(name)
    if expected.keys() != actual.keys() or any(expected[name].shape != actual[name].shape for name in expected):
        return math.inf
    return worst(
        [torch.cat([expected[name].flatten() for name in names]) for names in layers.values()],
        [torch.cat([actual[name].flatten() for name in names]) for names in layers.values()],
    )
