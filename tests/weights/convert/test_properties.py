"""Whatever is done to a checkpoint, a conversion ends in a result or in the one documented error.

`HYPOTHESIS_EXAMPLES=1000 pytest tests/weights/convert/test_properties.py` tries a thousand examples each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resnest_mm.errors import ConversionError
from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.convert.detector import convert_detector
from resnest_mm.weights.convert.segmentor import convert_segmentor
from resnest_mm.weights.layouts.detect import detect_layout
from resnest_mm.weights.layouts.names import COUNTER
from resnest_mm.weights.layouts.tables import LAYOUTS
from tests.support.slim_models import CASCADE, PANOPTIC, fcn_heads, slim_detector, slim_segmentor
from tests.support.tiny_backbones import tiny

State = dict[str, Any]

examples = settings(
    max_examples=int(os.environ.get('HYPOTHESIS_EXAMPLES', '100')), deadline=None, derandomize=True, database=None
)
OWN = dict(tiny(num_stages=2, groups=2, radix=1).state_dict())
OFFICIAL = {**convert_backbone(OWN, target='official'), 'fc.weight': torch.rand(7, 128), 'fc.bias': torch.rand(7)}
BACKBONES = {layout: convert_backbone(OFFICIAL, target=layout) for layout in LAYOUTS}
WHOLE: dict[str, tuple[State, Callable[..., State]]] = {
    'cascade': (slim_detector(CASCADE), convert_detector),
    'panoptic': (slim_detector(PANOPTIC), convert_detector),
    'fcn': (slim_segmentor(fcn_heads()), convert_segmentor),
}
ALL: dict[str, tuple[State, Callable[..., State]]] = {
    **{layout: (state, convert_backbone) for layout, state in BACKBONES.items()},
    **WHOLE,
}
layouts = st.sampled_from(list(LAYOUTS))
sources = st.sampled_from(['auto', *LAYOUTS])
names = st.sampled_from(list(ALL))
sizes = st.lists(st.integers(0, 9), max_size=5)
other_values = st.one_of(
    st.none(),
    st.integers(),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.sampled_from(
        [
            torch.zeros(2, dtype=torch.complex64),
            torch.zeros(2, dtype=torch.bool),
            torch.zeros(2).to_sparse(),
            np.array(['a']),
            np.array([None]),
            np.zeros(2, complex),
        ]
    ),
)


def is_refused(convert: Callable[..., State], state: Any, **how: object) -> bool:
    """Convert, expect nothing but the documented error, and the caller's mapping as it was."""
    before = dict(state) if isinstance(state, Mapping) else None
    try:
        convert(state, **how)
        refused = False
    except ConversionError as error:
        assert str(error)
        refused = True
    if before is not None:
        assert list(state) == list(before)
        assert all(state[key] is before[key] for key in before)
    return refused


@examples
@given(data=st.data(), layout=layouts, source=sources, target=layouts)
def test_subsets(data: st.DataObject, layout: str, source: str, target: str) -> None:
    """A part of a backbone is refused, unless all that is gone may be gone: counters, the classifier, last stages."""
    state = BACKBONES[layout]
    lost = data.draw(st.sets(st.sampled_from(sorted(state)), min_size=1, max_size=len(state)))
    kept = {key: value for key, value in state.items() if key not in lost}
    if not is_refused(convert_backbone, kept, source=source, target=target):
        own = convert_backbone(kept, source=source)
        gone = {key for key in OWN.keys() - own.keys() if not key.endswith(COUNTER)}
        stage = {key for key in OWN if key.startswith('layer2.') and not key.endswith(COUNTER)}
        assert gone in (set(), stage)


@examples
@given(data=st.data(), name=names)
def test_one_lost_tensor(data: st.DataObject, name: str) -> None:
    """Every single tensor is needed, but for counters and detectron2's anchors."""
    state, convert = ALL[name]
    needed = [key for key in state if not key.endswith(COUNTER) and 'cell_anchors' not in key]
    lost = data.draw(st.sampled_from(needed))
    kept = {key: value for key, value in state.items() if key != lost}
    assert is_refused(convert, kept) or lost.endswith(('compact.0.bias', 'select.bias'))


@examples
@given(name=names, keys=st.sets(st.text(max_size=30), min_size=1, max_size=4), start=st.sampled_from(['', 'backbone.']))
def test_unknown_tensors(name: str, keys: set[str], start: str) -> None:
    """A key that is not of the network is never dropped or kept without a word."""
    state, convert = ALL[name]
    added = {f'{start}{key}': torch.zeros(1) for key in keys if f'{start}{key}' not in state}
    assert not added or is_refused(convert, {**added, **state})


@examples
@given(data=st.data(), name=names, shape=sizes)
def test_one_other_shape(data: st.DataObject, name: str, shape: list[int]) -> None:
    """Each shape hangs on the others; only the image's channels are free."""
    state, convert = ALL[name]
    free = {key for key in state if 'cell_anchors' in key}
    key = data.draw(st.sampled_from([key for key in state if key not in free]))
    value = torch.zeros(shape, dtype=state[key].dtype)
    images = value.dim() == 4 and state[key].dim() == 4 and value.shape[2:] == state[key].shape[2:]
    assert value.shape == state[key].shape or images or is_refused(convert, {**state, key: value})


@examples
@given(data=st.data(), name=names, value=other_values)
def test_other_values(data: st.DataObject, name: str, value: object) -> None:
    """Booleans, complex numbers, sparse tensors and other objects are refused in every place."""
    state, convert = ALL[name]
    key = data.draw(st.sampled_from(list(state)))
    assert is_refused(convert, {**state, key: value})


@examples
@given(name=names, dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float64]))
def test_other_precisions(name: str, dtype: torch.dtype) -> None:
    """Half and double precision convert like single, and stay what they are."""
    state, convert = ALL[name]
    cast = {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}
    converted = convert(cast)
    assert {value.dtype for key, value in converted.items() if not key.endswith(COUNTER)} == {dtype}


@examples
@given(
    state=st.one_of(
        other_values,
        st.dictionaries(st.one_of(st.text(), st.integers()), other_values, max_size=4),
        st.dictionaries(
            st.sampled_from(['state_dict', 'model', 'ema_state_dict']), st.dictionaries(st.text(), other_values)
        ),
    ),
    source=sources,
)
def test_what_is_no_checkpoint(state: Any, source: str) -> None:
    """Mappings of anything else are refused, whatever they are wrapped in."""
    assert is_refused(convert_backbone, state, source=source)
    assert is_refused(convert_detector, state)
    assert is_refused(convert_segmentor, state)


@examples
@given(keys=st.lists(st.one_of(st.text(), st.sampled_from(sorted(OFFICIAL)), st.sampled_from(sorted(OWN)))))
def test_keys_of_any_kind_can_be_looked_at(keys: list[str]) -> None:
    """Detection ends in a layout or in the documented error."""
    try:
        assert detect_layout(keys).layout in LAYOUTS.values()
    except ConversionError as error:
        assert str(error)


@pytest.mark.parametrize('wrapper', ['state_dict', 'model', 'ema_state_dict'])
def test_containers_are_opened(wrapper: str) -> None:
    """Also inside one another, and beside an optimiser or a count of updates."""
    inner = {**OWN, 'steps': torch.tensor(3)} if wrapper == 'ema_state_dict' else OWN
    converted = convert_backbone({'meta': {'x': 1}, wrapper: inner, 'optimizer': {'a': [1]}})
    assert converted.keys() == OWN.keys()


def test_arrays_of_another_byte_order_convert_as_the_same_numbers() -> None:
    """An array in the other byte order converts like the native one."""
    state = {key: value.numpy() for key, value in OFFICIAL.items()}
    swapped = {key: value.astype(value.dtype.newbyteorder()) for key, value in state.items()}
    native, converted = convert_backbone(state), convert_backbone(swapped)
    assert native.keys() == converted.keys()
    assert all(torch.equal(native[key], value) for key, value in converted.items())
