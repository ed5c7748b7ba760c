"""What a checkpoint of a run may hold: buffers that are infinite by design, and no weight that is infinite."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from resnest_mm.errors import CheckpointError
from resnest_mm.training.start.fit import Use, check_fit


class Masked(nn.Module):
    """Has a mask of attention, which is minus infinity above its diagonal."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.register_buffer('mask', torch.full((3, 3), -torch.inf).triu(1))


@pytest.mark.parametrize('use', ['test', 'train', 'resume'])
def test_a_mask_of_the_model_may_be_infinite_and_a_weight_may_not(use: Use, tmp_path: Path) -> None:
    state = Masked().state_dict()
    torch.save({'state_dict': state, 'meta': {'epoch': 1, 'iter': 2}, 'optimizer': {}}, tmp_path / 'a.pth')
    assert check_fit(Masked(), tmp_path / 'a.pth', source='load_from', use=use).notes == ()
    state['linear.bias'][0] = torch.inf
    torch.save({'state_dict': state, 'meta': {'epoch': 1, 'iter': 2}}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'load_from: \S+/a\.pth .*linear\.bias'):
        check_fit(Masked(), tmp_path / 'a.pth', source='load_from', use=use)


def test_a_training_that_continues_without_its_optimizer_says_so(tmp_path: Path) -> None:
    """`save_optimizer=False` saves space; the momentum is lost then, which only the loss would show."""
    torch.save({'state_dict': nn.Linear(2, 2).state_dict(), 'meta': {'epoch': 1, 'iter': 2}}, tmp_path / 'a.pth')
    for use, expected in (('resume', 1), ('train', 0), ('test', 0)):
        notes = check_fit(nn.Linear(2, 2), tmp_path / 'a.pth', source='--resume', use=use).notes
        assert [('the optimizer starts anew, without momentum' in note) for note in notes] == [True] * expected
