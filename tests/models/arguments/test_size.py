"""The number of parameters is computed before anything is built, so that a mistaken width takes no memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from resnest_mm.models import ResNeSt
from resnest_mm.models.arguments import network, size
from tests.support.tiny_backbones import tiny

NETWORKS: dict[str, dict[str, Any]] = {
    **{
        name: {'variant': name}
        for name in ('resnest14', 'resnest101', 'resnest50_fast_4s2x40d', 'resnest50_fast_1s4x24d')
    },
    'many-groups': {'depth': 26, 'groups': 4, 'radix': 4, 'base_width': 32},
    'wide-gates': {'depth': 26, 'reduction_factor': 1},
    'many-channels': {'depth': 14, 'in_channels': 1024, 'stem_channels': 512},
}


@pytest.mark.parametrize('arguments', NETWORKS.values(), ids=NETWORKS)
def test_estimate_is_the_number_of_parameters(arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """To the two digits that are shown."""
    monkeypatch.setattr(size, 'MOST_PARAMETERS', 0)
    with pytest.raises(ValueError, match='at most') as raised:
        ResNeSt(**arguments)
    estimate = float(str(raised.value).split('about ')[1].split(' ')[0])
    monkeypatch.setattr(network, 'check_size', lambda *_, **__: None)
    with torch.device('meta'):
        built = sum(parameter.numel() for parameter in ResNeSt(**arguments).parameters())
    assert estimate == pytest.approx(built, rel=0.06)


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    """A width that a config computes with numpy."""
    one = tiny(
        np.int64(26),
        base_channels=np.int32(16),
        num_stages=np.int64(2),
        strides=(np.int64(1), np.int16(2)),
        radix=np.uint8(2),
        drop_path_rate=np.float32(0.25),
        norm_cfg={'type': 'BN', 'eps': np.float64(1e-4)},
        out_indices=(np.int64(1),),
    )
    assert [type(value) for value in (one.out_channels[0], one.out_strides[0], one.out_indices[0])] == [int] * 3
    assert one.layer1[1].drop_path.drop_prob == pytest.approx(0.25 / 3)
    assert one(torch.zeros(2, 3, 32, 32))[0].shape == (2, 128, 4, 4)
