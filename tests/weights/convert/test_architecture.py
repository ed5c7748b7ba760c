"""A network is told from the shapes of its tensors: every named one by name, any other by its arguments."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from resnest_mm.models import ResNeSt
from resnest_mm.models.variants import VARIANTS
from resnest_mm.weights.convert.architecture import BackboneArchitecture, describe_architecture
from tests.support.hostile_files import EXAMPLES
from tests.support.tiny_backbones import tiny

Shapes = dict[str, tuple[int, ...]]


def shapes_of(**arguments: Any) -> Shapes:
    with torch.device('meta'):
        net = ResNeSt(**arguments)
    return {name: tuple(value.shape) for name, value in net.state_dict().items()}


@pytest.mark.parametrize('name', [name for name in VARIANTS if VARIANTS[name].depth <= 101])
def test_a_named_network_is_recognised(name: str) -> None:
    """Each released network has one name, except for two with the same shapes."""
    found = describe_architecture(shapes_of(variant=name))
    variant = VARIANTS[name]
    same_shapes = ('resnest50', 'resnest50_fast_2s1x64d')
    assert found.variants == (same_shapes if name in same_shapes else (name,))
    assert found.depths == (variant.depth,)
    assert (found.radix, found.groups, found.base_width) == (variant.radix, variant.groups, variant.base_width)
    assert found.stem_channels == variant.stem_channels
    assert found.arguments == {'variant': found.variants[0]}


@pytest.mark.slow
@pytest.mark.parametrize('name', ['resnest152', 'resnest200', 'resnest269'])
def test_a_deep_named_network_is_recognised(name: str) -> None:
    """The three largest networks, which take long to build."""
    assert describe_architecture(shapes_of(variant=name)).variants == (name,)


OTHERS: dict[str, dict[str, Any]] = {
    'narrow': {'base_channels': 16, 'stem_channels': 8},
    'grey': {'in_channels': 1},
    'wide-stem': {'stem_channels': 128},
    'radix-3': {'radix': 3, 'base_width': 48},
    'two-groups': {'groups': 2, 'radix': 1, 'base_width': 32},
    'width-42': {'base_width': 42},
    'rounded-width': {'base_channels': 48, 'base_width': 42, 'radix': 1, 'num_stages': 1},
    'reduction-8': {'reduction_factor': 8},
    'one-stage': {'num_stages': 1},
    'three-stages': {'num_stages': 3, 'base_channels': 32},
}


@pytest.mark.parametrize('kind', OTHERS)
def test_any_network_is_recognised_by_arguments_that_rebuild_it(kind: str) -> None:
    """The arguments give back every shape."""
    shapes = shapes_of(depth=14, **OTHERS[kind])
    found = describe_architecture(shapes)
    assert not found.variants or kind == 'grey'
    assert shapes_of(**found.arguments) == shapes


def test_the_description_names_what_is_unusual() -> None:
    """A plain network has a short description, and each difference is added to it."""
    assert str(describe_architecture(shapes_of(depth=50))) == (
        'depth 50 (blocks 3, 4, 6, 3), radix 2, groups 1, base width 64, stem 64'
    )
    unusual = describe_architecture(shapes_of(depth=14, base_channels=32, in_channels=1, reduction_factor=2))
    assert str(unusual).endswith('stem 64, base channels 32, reduction factor 2, image channels 1')
    deform = shapes_of(depth=14) | {
        'layer3.0.conv2.conv.conv_offset.weight': (54, 128, 3, 3),
        'layer2.0.conv2.conv.conv_offset.bias': (54,),
        'layer2.0.my_gate.conv.weight': (1,),
    }
    assert str(describe_architecture(deform)).endswith('stem 64, DCN in stages 2, 3, plugins my_gate')


def test_missing_stages_leave_several_depths_open() -> None:
    """The first stages of several depths have the same blocks."""
    shapes = {name: shape for name, shape in shapes_of(depth=50).items() if not name.startswith('layer4')}
    assert describe_architecture(shapes).depths == (50,)
    first = {name: shape for name, shape in shapes.items() if not name.startswith(('layer2', 'layer3'))}
    assert describe_architecture(first).depths == (50, 101, 152, 200, 269)


def test_unknown_block_counts_have_no_arguments() -> None:
    """No argument builds a network without one of its blocks."""
    shapes = {name: s for name, s in shapes_of(depth=50).items() if not name.startswith('layer3.5.')}
    found = describe_architecture(shapes)
    assert found.depths == found.variants == ()
    with pytest.raises(ValueError, match=r'no ResNeSt has \(3, 4, 5, 3\) blocks'):
        _ = found.arguments


@pytest.mark.parametrize('lost', ['stem.0.weight', 'layer1.0.conv2.fc1.weight', 'layer2.', 'layer'])
def test_what_is_no_resnest_is_refused(lost: str) -> None:
    """Without the tensors that decide the sizes there is nothing to describe."""
    shapes = {name: tuple(v.shape) for name, v in tiny().state_dict().items() if not name.startswith(lost)}
    with pytest.raises(ValueError, match='not those of a ResNeSt in the mmdet layout'):
        describe_architecture(shapes)


KEYS = st.sampled_from(list(tiny().state_dict()))


@EXAMPLES
@given(
    changes=st.dictionaries(KEYS, st.lists(st.integers(0, 9), max_size=5).map(tuple), max_size=20), lost=st.sets(KEYS)
)
def test_any_shapes_are_described_or_refused(changes: Shapes, lost: set[str]) -> None:
    """No shapes end in another error."""
    shapes = {name: tuple(value.shape) for name, value in tiny().state_dict().items()} | changes
    try:
        found = describe_architecture({name: shape for name, shape in shapes.items() if name not in lost})
    except ValueError:
        return
    assert isinstance(found, BackboneArchitecture)
    assert str(found).startswith('depth ')
