"""The states of all random number generators that a training uses, in a form that a checkpoint can hold."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

RandomStates = dict[str, Tensor]
"""States by generator. Tensors only: `torch.load(weights_only=True)` reads them in any environment."""


def random_states() -> RandomStates:
    """Return the states of Python, numpy and torch, and of the current GPU where there is one, in this process."""
    version, words, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    states = {
        'python': torch.tensor([version, *words]),
        'python_gauss': torch.tensor([] if gauss is None else [gauss], dtype=torch.float64),
        'numpy': torch.from_numpy(np.asarray(keys).astype(np.int64)),
        'numpy_position': torch.tensor([int(position), int(has_gauss)]),
        'numpy_gauss': torch.tensor([cached], dtype=torch.float64),
        'torch': torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states['cuda'] = torch.cuda.get_rng_state()
    return states


def restore_random_states(states: Mapping[str, Tensor]) -> None:
    """Put the generators of this process into saved states.

    Args:
        states: From `random_states`, on any device. A GPU keeps its state where none was saved.
    """
    saved = {name: value.cpu() for name, value in states.items()}
    version, *words = saved['python'].tolist()
    random.setstate((version, tuple(words), saved['python_gauss'].item() if len(saved['python_gauss']) else None))
    position, has_gauss = saved['numpy_position'].tolist()
    keys = saved['numpy'].numpy().astype(np.uint32)
    np.random.set_state(('MT19937', keys, position, has_gauss, saved['numpy_gauss'].item()))
    torch.set_rng_state(saved['torch'])
    if 'cuda' in saved and torch.cuda.is_available():
        torch.cuda.set_rng_state(saved['cuda'])


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Run a block after which all generators have the states from before it."""
    states = random_states()
    try:
        yield
    finally:
        restore_random_states(states)
