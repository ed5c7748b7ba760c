"""The FCN head computes, drops out, learns and loads as PyTorch-Encoding's."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip('mmseg', reason='the head is one of mmseg')

from resnest_mm.weights.convert.segmentor import convert_segmentor
from tests.support import head_oracle, key_lists
from tests.support.segmentation_heads import FCN, build, maps, samples, segmentor, without_dropout
from tests.support.tiny_backbones import snapshot


@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
@pytest.mark.parametrize('index', [-1, 2])
def test_logits_are_those_of_the_oracle(training: bool, index: int) -> None:
    head = without_dropout(FCN, in_index=index).train(training)
    given, state = maps(), snapshot(head)
    torch.testing.assert_close(head(given), head_oracle.fcn(given[2], state, training=training), rtol=0, atol=1e-12)


def test_an_auxiliary_head_reads_the_map_before_the_last() -> None:
    head = without_dropout(FCN, in_index=-2, in_channels=4).eval()
    given = maps()
    torch.testing.assert_close(
        head(given), head_oracle.fcn(given[1], head.state_dict(), training=False), rtol=0, atol=1e-12
    )


def test_keys_are_those_that_the_converter_writes() -> None:
    norm = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
    assert set(build(FCN).state_dict()) == {
        'conv_seg.weight',
        'conv_seg.bias',
        'convs.0.conv.weight',
        *(f'convs.0.bn.{name}' for name in norm),
    }


def test_a_released_model_fits_strictly() -> None:
    """All keys and shapes of the released FCN with a ResNeSt-50, without memory for its values."""
    with torch.device('meta'):
        model = segmentor(
            {**FCN, 'channels': 512, 'num_classes': 150},
            base_channels=64,
            backbone=dict(type='resnest_mm.ResNeSt', depth=50, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
            auxiliary_head={**FCN, 'in_channels': 1024, 'in_index': 2, 'channels': 256, 'num_classes': 150},
        )
    state = convert_segmentor(key_lists.segmentor('FCN_ResNeSt50_ADE'))
    model.load_state_dict(state, strict=True, assign=True)


def test_a_gradient_reaches_every_parameter() -> None:
    head = build(FCN).double()
    head.loss(maps(), samples(torch.randint(3, (2, 9, 9))), {})['loss_ce'].backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in head.parameters())
