"""Saved states of the random number generators bring back the same numbers, also through a checkpoint file."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch

from resnest_mm.training.safety.random_states import random_states, random_states_kept, restore_random_states


def draw() -> list[float]:
    """Return numbers of all generators; the normal ones are drawn in pairs, of which one waits for the next draw."""
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), *torch.randn(3).tolist()]


def test_restored_states_draw_the_same_numbers(tmp_path: Path) -> None:
    """After a file that only tensors may be read from, also with half of a pair of normal numbers left."""
    for _ in range(2):  # the first draw leaves a number of each pair, the second one uses it
        draw()
        torch.save(random_states(), tmp_path / 'states.pth')
        expected = [draw(), draw()]
        restore_random_states(torch.load(tmp_path / 'states.pth', weights_only=True))
        assert [draw(), draw()] == expected


def test_a_block_leaves_no_trace() -> None:
    """Whatever is drawn in the block."""
    states = random_states()
    expected = draw()
    restore_random_states(states)
    with random_states_kept():
        assert draw() == expected
    assert draw() == expected
