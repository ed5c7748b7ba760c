"""A table of which layout converts to which, found by converting a tiny network of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor

from resnest_mm.errors import ConversionError
from resnest_mm.weights.convert.architecture import BackboneArchitecture, StageSizes
from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.convert.check import expected_shapes
from resnest_mm.weights.layouts.names import COUNTER
from resnest_mm.weights.layouts.tables import LAYOUTS

Status: TypeAlias = Literal['exact', 'folded', 'refused']

NETWORKS: Final = {'one group': (2, 1), 'one split, two groups': (1, 2), 'two splits, two groups': (2, 2)}
"""Radix and groups of the networks that are converted."""

MODEL_CONVERSIONS: Final = (
    ('detector', 'detectron2', 'mmdet', 'exact'),
    ('detector', 'mmdet', 'detectron2', 'exact; refused where stages have mask heads of their own'),
    ('segmentor', 'encoding', 'mmseg', 'exact'),
    ('segmentor', 'mmseg', 'encoding', 'exact; refused for heads that PyTorch-Encoding does not have'),
)
"""Conversions of whole models: part, source, target and result."""

_FOLDED: Final = (
    "the bias before the norm of each gate is folded into that norm's running mean: the same in evaluation and "
    'training up to rounding'
)


@dataclass(frozen=True)
class Cell:
    """The result of converting a checkpoint from one layout to another.

    Args:
        source: Layout of the checkpoint.
        target: Layout that it is converted to.
        status: 'exact' where the way back gives every tensor bit by bit, 'folded' where only the network computes the
            same, 'refused' where there is no conversion.
        reason: Why it is not exact; empty where it is.
    """

    source: str
    target: str
    status: Status
    reason: str = ''


def compute(network: str) -> list[Cell]:
    """Return a cell for each pair of layouts.

    Args:
        network: A key of `NETWORKS`.
    """
    radix, groups = NETWORKS[network]
    own = tiny_backbone(radix=radix, groups=groups)
    cells: list[Cell] = []
    for source in LAYOUTS:
        try:
            state = convert_backbone(own, source='mmdet', target=source)
        except ConversionError as error:
            cells += [Cell(source, target, 'refused', str(error)) for target in LAYOUTS]
            continue
        cells += [_cell(state, source, target) for target in LAYOUTS]
    return cells


def render() -> str:
    """Return tables of all conversions in Markdown."""
    reasons: list[str] = []
    lines: list[str] = []
    for network in NETWORKS:
        lines += [f'Backbones with {network} (rows: from, columns: to)', '', *_table(compute(network), reasons), '']
    lines += ['Whole models', '', '| part | from | to | |', '| --- | --- | --- | --- |']
    lines += [f'| {" | ".join(row)} |' for row in MODEL_CONVERSIONS]
    lines += ['', *(f'{number}. {reason}.' for number, reason in enumerate(reasons, 1))]
    return '\n'.join(lines)


def tiny_backbone(*, radix: int, groups: int) -> dict[str, Tensor]:
    """Return the tensors of a 14-layer network with few channels and random values, by this package's names.

    Args:
        radix: Splits in each cardinal group.
        groups: Cardinal groups.
    """
    stages = tuple(StageSizes(blocks=1, width=8 << stage, hidden=32, out_channels=16 << stage) for stage in range(4))
    network = BackboneArchitecture(3, half_stem=4, stem_channels=8, radix=radix, groups=groups, stages=stages)
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for key, shape in expected_shapes(network):
        tensors[key] = torch.rand(shape, generator=generator) + 0.5
        if key.endswith('.running_var'):
            tensors[f'{key.removesuffix("running_var")}{COUNTER}'] = torch.tensor(7)
    return tensors


def _cell(state: dict[str, Tensor], source: str, target: str) -> Cell:
    try:
        there = convert_backbone(state, source=source, target=target)
    except ConversionError as error:
        return Cell(source, target, 'refused', str(error))
    back = convert_backbone(there, source=target, target=source)
    lost = {key for key in state if not key.endswith(COUNTER)} - back.keys()
    if not lost and all(torch.equal(back[key], value) for key, value in state.items() if key in back):
        return Cell(source, target, 'exact')
    return Cell(source, target, 'folded', _FOLDED)


def _table(cells: list[Cell], reasons: list[str]) -> Iterator[str]:
    yield f'| | {" | ".join(LAYOUTS)} |'
    yield f'| --- |{" --- |" * len(LAYOUTS)}'
    for source in LAYOUTS:
        words = []
        for cell in (cell for cell in cells if cell.source == source):
            if cell.reason and cell.reason not in reasons:
                reasons.append(cell.reason)
            words.append(f'{cell.status} ({reasons.index(cell.reason) + 1})' if cell.reason else cell.status)
        yield f'| {source} | {" | ".join(words)} |'
