"""Weights that no training leaves behind are refused by every reader of checkpoints, with all kinds and names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from resnest_mm.errors import CheckpointError
from resnest_mm.weights.io.plausible import find_wrong_values
from resnest_mm.weights.pretrained import Pretrained
from tests.support.made_checkpoints import Tool, expect_refusal
from tests.support.tiny_backbones import scatter, snapshot, tiny

NAN = float('nan')
WRONG: dict[str, tuple[dict[str, Tensor], str]] = {
    # what replaces tensors of a backbone, and what is said
    'nan': (
        {'stem.1.bias': torch.tensor([1.0, NAN, float('inf'), 1.0])},
        'has NaN or Inf in 1 tensors: stem.1.bias (2 of 4)',
    ),
    'variance': ({'stem.1.running_var': torch.tensor([1.0, -1e-9, 1.0, 1.0])}, 'has negative variances in 1 tensors: '),
    'beyond': ({'stem.1.bias': torch.tensor([1.0, 3e36, 1.0, 1.0])}, 'has numbers beyond 1e+20 in 1 tensors: stem.1.'),
    'int8': (
        {'stem.1.bias': torch.ones(4, dtype=torch.int8)},
        'has weights that are not floating-point in 1 tensors: stem.1.bias (int8)',
    ),
    'bool': ({'stem.1.bias': torch.ones(4, dtype=torch.bool)}, 'stem.1.bias (bool)'),
    'complex': ({'stem.1.bias': torch.ones(4, dtype=torch.complex64)}, 'stem.1.bias (complex64)'),
    'several': (
        {
            'stem.1.bias': torch.full((4,), NAN),
            'stem.1.weight': torch.full((4,), NAN),
            'stem.1.running_var': -torch.ones(4),
        },
        'has NaN or Inf in 2 tensors: stem.1.weight (4 of 4), stem.1.bias (4 of 4); has negative variances in',
    ),
}


@pytest.fixture(scope='module')
def state() -> dict[str, Tensor]:
    backbone = tiny()
    scatter(backbone)
    return snapshot(backbone)


@pytest.mark.parametrize('kind', WRONG)
@pytest.mark.parametrize('legacy', [False, True])
def test_pretrained_refuses_them_and_changes_nothing(
    kind: str, legacy: bool, state: dict[str, Tensor], tmp_path: Path
) -> None:
    changes, message = WRONG[kind]
    path = tmp_path / 'wrong.pth'
    torch.save({**state, **changes}, path, _use_new_zipfile_serialization=not legacy)
    backbone = tiny()
    before = snapshot(backbone)
    with pytest.raises(CheckpointError) as caught:
        Pretrained(str(path))(backbone)
    assert message in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in snapshot(backbone).items())


@pytest.mark.parametrize('kind', WRONG)
@pytest.mark.parametrize('name', ['publish_checkpoint', 'convert_checkpoint'])
def test_no_file_is_written_of_them(
    name: str, kind: str, state: dict[str, Tensor], tool: Tool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, message = WRONG[kind]
    torch.save({**state, **changes}, tmp_path / 'wrong.pth')
    argv = [tmp_path / 'wrong.pth', tmp_path / ('out.pth' if name == 'convert_checkpoint' else 'out')]
    if name == 'convert_checkpoint' and kind in ('int8', 'bool', 'complex'):
        message = 'the tensors of a network are floating-point'
    assert message in expect_refusal(tool, name, argv, tmp_path, capsys)


@pytest.mark.parametrize('kind', WRONG)
def test_inspect_says_what_is_wrong(
    kind: str, state: dict[str, Tensor], tool: Tool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, message = WRONG[kind]
    torch.save({**state, **changes}, tmp_path / 'wrong.pth')
    assert tool('inspect_checkpoint', [str(tmp_path / 'wrong.pth')]) == 0
    out = capsys.readouterr().out
    assert all(part in out for part in message.split('; '))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_other_precisions_are_right(dtype: torch.dtype, state: dict[str, Tensor], tmp_path: Path) -> None:
    cast = {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}
    torch.save(cast, tmp_path / 'cast.pth')
    backbone = tiny()
    Pretrained(str(tmp_path / 'cast.pth'))(backbone)
    loaded = snapshot(backbone)
    assert all(torch.equal(loaded[name], value.to(loaded[name].dtype)) for name, value in cast.items())


def test_counters_masks_and_indices_are_no_weights() -> None:
    tensors = {
        'bn.num_batches_tracked': torch.tensor(3),
        'attn_mask': torch.tensor([True, False]),
        'index': torch.arange(3),
        'scale': torch.tensor([1e30]),
        'empty.weight': torch.zeros(0),
    }
    assert find_wrong_values(tensors) == []
