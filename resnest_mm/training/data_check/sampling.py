"""A sample of the files of a data set: the same one in every run."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar('Item')


def choose(items: Sequence[Item], number: int | None, *, seed: int) -> list[Item]:
    """Return some of the items, in their order; all where there are fewer.

    Args:
        items: What to choose from.
        number: How many, at least 1; None for all.
        seed: Seed of the choice.
    """
    if number is None or number >= len(items):
        return list(items)
    indices = sorted(random.Random(seed).sample(range(len(items)), number))
    return [items[index] for index in indices]
