"""Small checkpoints that the tools convert, inspect and publish, and what all three have to refuse."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from resnest_mm.weights.commands.matrix import tiny_backbone
from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.io.contents import TENSOR_ENTRIES
from tests.support.hostile_files import files_in

Tool = Callable[[str, Sequence[str]], int]
State = dict[str, Tensor]

OWN = tiny_backbone(radix=2, groups=1)
"""A backbone in the layout of mmdet, 150 tensors with random values."""


def values(*shape: int) -> Tensor:
    """Return numbers that are neither equal nor zero."""
    return torch.linspace(0.5, 1.5, math.prod(shape)).view(shape)


def official() -> State:
    """Return it in the official layout, with a classifier."""
    state = convert_backbone(OWN, target='official')
    return {**state, 'fc.weight': values(5, 128), 'fc.bias': values(5)}


def mmdet_detector() -> State:
    """Return it with a few layers of a detector."""
    heads = {'neck.lateral_convs.0.conv.weight': values(4, 16, 1, 1), 'rpn_head.rpn_cls.bias': values(3)}
    return {**{f'backbone.{name}': value for name, value in OWN.items()}, **heads}


def encoding_segmentor() -> State:
    """Return it as a whole FCN of PyTorch-Encoding."""
    norm = {name: values(4) for name in ('weight', 'bias', 'running_mean', 'running_var')}
    return {
        **convert_backbone(OWN, target='encoding'),
        'head.conv5.0.weight': values(4, 128, 3, 3),
        **{f'head.conv5.1.{name}': value for name, value in norm.items()},
        'head.conv5.1.num_batches_tracked': torch.tensor(3),
        'head.conv5.4.weight': values(6, 4, 1, 1),
        'head.conv5.4.bias': values(6),
    }


def load(path: Path) -> State:
    """Return the tensors in a `.pth` file, which may be in an entry of it."""
    content = torch.load(path, weights_only=True)
    state: State = next((content[entry] for entry in TENSOR_ENTRIES if entry in content), content)
    return state


def equal(given: State, wanted: State) -> bool:
    """Return whether two state dicts have equal names and values."""
    return given.keys() == wanted.keys() and all(torch.equal(given[name], wanted[name]) for name in wanted)


def expect_refusal(
    tool: Tool, name: str, argv: Sequence[object], folder: Path, capsys: pytest.CaptureFixture[str]
) -> str:
    """Run a tool that has to fail as documented, and return its message: one line, exit code 2, nothing written."""
    before = files_in(folder)
    folders = {path for path in folder.rglob('*') if path.is_dir()}
    capsys.readouterr()
    assert tool(name, [str(argument) for argument in argv]) == 2
    captured = capsys.readouterr()
    assert files_in(folder) == before
    assert {path for path in folder.rglob('*') if path.is_dir()} == folders
    assert captured.out == ''
    assert captured.err.startswith('error: ')
    assert captured.err.count('\n') == 1
    return captured.err
