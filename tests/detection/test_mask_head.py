"""The mask head is mmdet's with another beginning."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip('mmdet', reason='the mask head builds on mmdet')

import torch
from mmdet.registry import MODELS
from mmengine.registry import DefaultScope


def build(kind: str, **arguments: Any) -> Any:
    torch.manual_seed(0)
    config = dict(type=kind, num_convs=2, in_channels=64, conv_out_channels=256, num_classes=80, **arguments)
    with DefaultScope.overwrite_default_scope('mmdet'):
        head = MODELS.build(config)
    head.init_weights()
    return head


def test_predictor_starts_narrow_and_everything_else_as_mmdets() -> None:
    """Standard deviations of 20480 weights and more are known to a few percent."""
    ours, theirs = build('resnest_mm.Detectron2FCNMaskHead'), build('FCNMaskHead')
    weight = ours.conv_logits.weight
    assert weight.std().item() == pytest.approx(0.001, rel=0.03)
    assert abs(weight.mean().item()) < 3e-5 and weight.abs().max() < 0.006
    assert not ours.conv_logits.bias.any()
    assert theirs.conv_logits.weight.std().item() == pytest.approx((2 / 80) ** 0.5, rel=0.03)
    assert ours.upsample.weight.std().item() == pytest.approx((2 / (256 * 2 * 2)) ** 0.5, rel=0.03)
    for name, parameter in theirs.named_parameters():
        if not name.startswith('conv_logits.'):
            assert torch.equal(ours.state_dict()[name], parameter), name


def test_initialisation_is_normal_and_not_uniform() -> None:
    """A normal distribution has 68.3 % of its values within one deviation, a uniform one 57.7 %."""
    weight = build('resnest_mm.Detectron2FCNMaskHead').conv_logits.weight
    assert (weight.abs() < 0.001).double().mean().item() == pytest.approx(0.683, abs=0.02)


def test_the_whole_detectors_initialisation_keeps_it() -> None:
    """mmengine initialises modules from the outside in; the head must have the last word."""
    from tests.support import tiny_cascade as tiny

    config = tiny.model_config()
    config.roi_head.mask_head.update(conv_out_channels=256, num_classes=80)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(config)
    model.init_weights()
    assert model.roi_head.mask_head.conv_logits.weight.std().item() == pytest.approx(0.001, rel=0.03)


def test_masks_are_mmdets() -> None:
    ours, theirs = build('resnest_mm.Detectron2FCNMaskHead'), build('FCNMaskHead')
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(3, 64, 4, 4)
    assert torch.equal(ours(x), theirs(x)) and ours(x).shape == (3, 80, 8, 8)


@pytest.mark.parametrize('upsample', [None, 'nearest'])
def test_other_upsampling_is_initialised_too(upsample: str | None) -> None:
    head = build('resnest_mm.Detectron2FCNMaskHead', upsample_cfg=dict(type=upsample, scale_factor=2))
    assert head.conv_logits.weight.std().item() == pytest.approx(0.001, rel=0.03)
