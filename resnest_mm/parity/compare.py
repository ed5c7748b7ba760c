"""How far a backbone is from the network of another package with the same weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resnest_mm.parity.pairs import Pair

IMAGES: Final = 4
"""Images in a batch. Of two, the norm behind the global pooling sees two numbers a channel and blows rounding up."""


SMALLEST: Final = 32
"""Side in pixels from which the last stage has a pixel."""


@dataclass(frozen=True)
class Differences:
    """Largest difference by the largest value, the worst of all tensors; not finite where the two cannot be compared.

    Args:
        eval: Of the maps C2 to C5 in evaluation.
        train: Of the same in training.
        statistics: Of the running statistics after that step.
        gradients: Of the gradients of all parameters in training, in float64, by the largest of the layer: the bias in
            front of a norm has none but rounding. None where they were not asked for.
    """

    eval: float
    train: float
    statistics: float
    gradients: float | None


@dataclass(frozen=True)
class Row:
    """One comparison with its verdict."""

    label: str
    differences: Differences
    tolerance: float

    @property
    def passed(self) -> bool:
        """Return whether every difference is rounding; what cannot be compared is not."""
        values = (getattr(self.differences, field.name) for field in fields(self.differences))
        return all(value <= self.tolerance for value in values if value is not None)


def compare(pair: Pair, *, size: int = 64, seed: int = 0) -> Row:
    """Give both networks of a pair the same random weights, statistics and images, and compare what comes out.

    Args:
        pair: The networks.
        size: Side of the images in pixels, at least 32.
        seed: Start of the random numbers; the caller's own are left alone.

    Raises:
        RuntimeError: The counterpart cannot take the other network's state dict.
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
    """Draw the parameters and statistics of all batch norms, which are the same in every channel of a new network.

    The last norm of a block stays small, so that the sum over the blocks neither grows nor blows rounding up.
    """
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm):
            assert module.running_mean is not None and module.running_var is not None
            scale = 0.2 if name.endswith('.bn3') else 1.0
            with torch.no_grad():
                module.weight.uniform_(0.5 * scale, 1.5 * scale)
                module.bias.normal_(0, 0.1)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)


def random_images(size: int) -> Tensor:
    """Return noise whose contrast and colour cast differ between images: attention reads nothing but averages."""
    noise = torch.randn(IMAGES, 3, size, size)
    return noise * (0.5 + torch.rand(IMAGES, 1, 1, 1)) + torch.randn(IMAGES, 3, 1, 1)


def worst(expected: Sequence[Tensor], actual: Sequence[Tensor]) -> float:
    """Return the worst relative difference of tensors in the same order; infinite for two numbers or shapes of them."""
    if [tensor.shape for tensor in expected] != [tensor.shape for tensor in actual]:
        return math.inf
    ratios = [(ours - theirs).abs().max() / theirs.abs().max() for theirs, ours in zip(expected, actual, strict=True)]
    return float(torch.stack(ratios).max())


def render_table(rows: Sequence[Row], *, markdown: bool) -> str:
    """Return the comparisons as a table, without a newline at the end.

    Args:
        rows: What was compared.
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
    """Return the worst difference of tensors of the same names, by the largest value of each layer.

    Args:
        expected: Tensors by parameter name.
        actual: The others; other names or shapes make the difference infinite.
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
