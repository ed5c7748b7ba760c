"""`from_official` renames the official package's state dict and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from resnest_mm.weights import from_official
from tests.support.renamed_states import State, detectron2, mmpretrain, official, prefixed
from tests.support.tiny_backbones import tiny

Rename = Callable[[State], State]


def test_official_names_become_ours() -> None:
    """Every tensor gets its name here, the classifier is left out, and the state dict handed in stays as it was."""
    state = tiny().state_dict()
    given = official(state)
    before = dict(given)
    renamed = from_official(given)
    assert renamed.keys() == state.keys()
    assert all(renamed[name] is value for name, value in state.items())
    assert given == before


def with_key(key: str) -> Rename:
    return lambda state: {**official(state), key: torch.zeros(1)}


@pytest.mark.parametrize(
    ('layout', 'message'),
    [
        (
            detectron2,
            "'stem.conv1_1.weight' is no key of the official layout; this looks like a ResNeSt in the detectron2",
        ),
        (mmpretrain, 'this looks like a ResNeSt in the mmpretrain layout'),
        (prefixed('module.'), "this looks like .* under the prefix 'module.'"),
        (lambda state: state, 'this looks like a ResNeSt in the mmdet and mmseg layout'),
        (with_key('layer5.0.conv1.weight'), "'layer5.0.conv1.weight' is no key"),
        (with_key('layer1.0.conv9.weight'), "'layer1.0.conv9.weight' is no key"),
    ],
    ids=['detectron2', 'mmpretrain', 'prefixed', 'ours', 'fifth-stage', 'ninth-convolution'],
)
def test_other_names_are_refused(layout: Rename, message: str) -> None:
    """A key that is not official would otherwise be lost or kept under a wrong name."""
    with pytest.raises(ValueError, match=message):
        from_official(layout(tiny().state_dict()))
