"""Comparing two training checkpoints in every tensor that training computes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def last_saved(work_dir: Path) -> dict[str, Any]:
    """Return the content of the checkpoint that `last_checkpoint` names."""
    content: dict[str, Any] = torch.load((work_dir / 'last_checkpoint').read_text(), weights_only=False)
    return content


def all_tensors(content: Mapping[str, Any], prefix: str = '') -> dict[str, Tensor]:
    """Return all tensors of a checkpoint by dotted name; the message hub, which has times, is left out."""
    found: dict[str, Tensor] = {}
    for name, value in content.items():
        if isinstance(value, Tensor):
            found[f'{prefix}{name}'] = value
        elif isinstance(value, Mapping | list) and name != 'message_hub':
            inner = value if isinstance(value, Mapping) else {str(index): item for index, item in enumerate(value)}
            found.update(all_tensors(inner, f'{prefix}{name}.'))
    return found


def differing_tensors(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the names of the tensors that differ in a bit, after checking that both have the same ones.

    Weights, optimizer, averages and random states count; epoch, iteration and learning rates must be equal, too.
    """
    assert [one['meta'][key] for key in ('epoch', 'iter')] == [other['meta'][key] for key in ('epoch', 'iter')]
    rates = [[group['lr'] for group in content['optimizer']['param_groups']] for content in (one, other)]
    assert rates[0] == rates[1]
    first, second = all_tensors(one), all_tensors(other)
    assert first.keys() == second.keys() and {'state_dict', 'optimizer'} <= {name.partition('.')[0] for name in first}
    return [name for name, value in first.items() if not torch.equal(value, second[name])]
