"""The attributes and behaviour that necks and training loops rely on."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch

from resnest_mm.models import ResNeSt
from tests.support.tiny_backbones import image, scatter, snapshot, tiny

SHAPES: dict[str, dict[str, Any]] = {
    'default': {},
    'two-stages': {'num_stages': 2},
    'some-maps': {'out_indices': (1, 3)},
    'stride-8': {'strides': (1, 2, 1, 1), 'dilations': (1, 1, 2, 4)},
    'stride-8-like-mmseg': {'strides': (1, 2, 1, 1), 'dilations': (1, 1, 2, 4), 'avd_in_dilated': False},
    'strided-first-stage': {'strides': (2, 2), 'num_stages': 2},
    'pool-first': {'avd_first': True},
    'strided-convolutions': {'avg_down_stride': False},
    'groups': {'groups': 2, 'base_width': 40},
}


@pytest.mark.parametrize('size', [(64, 64), (65, 97), (33, 50)], ids=str)
@pytest.mark.parametrize('arguments', SHAPES.values(), ids=SHAPES)
def test_maps_are_as_announced(arguments: dict[str, Any], size: tuple[int, int]) -> None:
    backbone = tiny(**arguments).eval()
    with torch.no_grad():
        maps = backbone(image(1, size))
    assert isinstance(maps, tuple)
    assert tuple(x.shape[1] for x in maps) == backbone.out_channels
    expected = [(-(-size[0] // stride), -(-size[1] // stride)) for stride in backbone.out_strides]
    assert [tuple(x.shape[2:]) for x in maps] == expected


def test_announced_numbers_are_the_released_networks() -> None:
    backbone = ResNeSt(14)
    assert backbone.out_channels == (256, 512, 1024, 2048)
    assert backbone.out_strides == (4, 8, 16, 32)
    assert tiny(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)).out_strides == (4, 8, 8, 8)


def test_maps_do_not_depend_on_which_are_returned() -> None:
    all_maps = tiny().eval()
    one_map = tiny(out_indices=(2,), num_stages=3).eval()
    scatter(all_maps)
    one_map.load_state_dict(all_maps.state_dict(), strict=False)
    with torch.no_grad():
        assert torch.equal(all_maps(image())[2], one_map(image())[0])


@pytest.mark.parametrize('num_stages', [1, 2, 3, 4])
def test_every_parameter_takes_part(num_stages: int) -> None:
    """A parameter without a gradient stops distributed training."""
    backbone = tiny(num_stages=num_stages).train()
    sum(x.square().sum() for x in backbone(image(size=(64, 64)))).backward()
    idle = [
        name for name, parameter in backbone.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    # A bias in front of a batch norm has no effect, so its gradient is rounding noise or zero.
    assert [name for name in idle if not name.endswith('fc1.bias')] == []
    assert not any(name.startswith(f'layer{num_stages + 1}') for name in backbone.state_dict())


def test_unused_stages_are_pointed_out() -> None:
    with pytest.warns(UserWarning, match=r'out_indices=\(0, 1\) leaves .* num_stages=2 does not build them'):
        tiny(out_indices=(0, 1))


def test_train_and_eval_return_the_backbone() -> None:
    backbone = tiny(num_stages=1)
    assert backbone.train() is backbone
    assert backbone.train(False) is backbone
    assert backbone.eval() is backbone


def test_evaluation_changes_nothing() -> None:
    backbone = tiny(num_stages=2).eval()
    before = snapshot(backbone)
    with torch.no_grad():
        first, second = backbone(image()), backbone(image())
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_images_of_a_batch_do_not_meet_in_evaluation() -> None:
    backbone = tiny(num_stages=2).eval().double()
    scatter(backbone)
    both = image(2).double()
    with torch.no_grad():
        together, alone = backbone(both)[-1], backbone(both[:1])[-1]
    torch.testing.assert_close(together[:1], alone, rtol=1e-12, atol=1e-12)


COPIES: dict[str, Callable[[ResNeSt, dict[str, Any]], ResNeSt]] = {
    'copied': lambda backbone, _: copy.deepcopy(backbone),
    'pickled': lambda backbone, _: pickle.loads(pickle.dumps(backbone)),
    'assigned': lambda backbone, arguments: assigned(backbone, arguments),
}


def assigned(backbone: ResNeSt, arguments: dict[str, Any]) -> ResNeSt:
    """Return a backbone that was built without memory and took over the tensors of another one."""
    with torch.device('meta'):
        other = tiny(**arguments)
    other.load_state_dict(backbone.state_dict(), assign=True)
    return other


@pytest.mark.parametrize('way', COPIES)
@pytest.mark.parametrize(
    'arguments',
    [
        {'num_stages': 2, 'with_cp': True, 'norm_eval': True, 'frozen_stages': 1},
        {
            'num_stages': 2,
            'plugins': [{'cfg': {'type': 'ContextBlock', 'ratio': 0.25}, 'position': 'after_conv2'}],
        },
    ],
    ids=['frozen', 'plugin'],
)
def test_a_copy_is_the_same_network(way: str, arguments: dict[str, Any]) -> None:
    backbone = tiny(**arguments)
    scatter(backbone)
    backbone.load_state_dict(backbone.state_dict())
    other = COPIES[way](backbone, arguments)
    assert [p.requires_grad for p in other.parameters()] == [p.requires_grad for p in backbone.parameters()]
    for mode in (False, True):
        for a, b in zip(other.train(mode)(image()), backbone.train(mode)(image()), strict=True):
            assert torch.equal(a, b)
    assert [m.training for m in other.modules()] == [m.training for m in backbone.modules()]
