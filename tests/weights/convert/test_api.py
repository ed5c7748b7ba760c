"""`convert` takes the part and the prefix that it is given, and names what does not fit the layout that it is given."""

from __future__ import annotations

import pytest
import torch

from resnest_mm.errors import ConversionError
from resnest_mm.weights.convert.api import convert
from resnest_mm.weights.convert.backbone import convert_backbone
from tests.support.made_checkpoints import OWN, equal, official
from tests.support.slim_models import FASTER, slim_detector

STUDENT = convert_backbone(OWN, target='official')
TWO = {
    **{f'teacher.{name}': value + 1 for name, value in OWN.items()},
    **{f'student.{name}': value for name, value in STUDENT.items()},
}


@pytest.mark.parametrize('prefix', ['student', 'student.'])
def test_one_of_two_networks_is_converted_by_its_prefix(prefix: str) -> None:
    """Only the keys under the prefix decide the layout."""
    done = convert(TWO, prefix=prefix)
    assert equal(done.tensors, OWN)
    assert done.found == 'official backbone'
    assert set(done.dropped) == {key for key in TWO if key.startswith('teacher.')}
    assert equal(convert_backbone(TWO, prefix=prefix), OWN)


def test_a_model_that_is_neither_detector_nor_segmentor_gives_its_backbone() -> None:
    """The backbone is all that is known of such a model."""
    state = {**{f'net.{name}': value for name, value in OWN.items()}, 'head.weight': torch.ones(3)}
    done = convert(state, prefix='net')
    assert equal(done.tensors, OWN)
    assert (done.part, done.dropped) == ('backbone', ('head.weight',))
    with pytest.raises(ConversionError, match=r'more than a backbone: 1 other keys: head\.weight\.'):
        convert(state)


def test_with_a_named_source_the_missing_keys_are_named() -> None:
    """Without its first convolution the layout cannot be detected, but the caller has named it."""
    state = official()
    del state['conv1.0.weight']
    with pytest.raises(ConversionError, match=r'ResNeSt of the official .*: 1 missing: conv1\.0\.weight'):
        convert(state, source='official')


def test_a_detector_of_another_layout_than_the_named_source_is_refused() -> None:
    """The name is a check of the caller's."""
    with pytest.raises(ConversionError, match=r"has the detectron2 .*, not that of source='mmdet'"):
        convert(slim_detector(FASTER), source='mmdet')
