"""The loss counts labelled pixels only, weighs their classes, and meets mmseg's heads."""

from __future__ import annotations

import math

import pytest
import torch
from mmengine.registry import DefaultScope
from torch import Tensor

pytest.importorskip('mmseg', reason='the loss is for heads of mmseg')

from resnest_mm.registry import MODELS
from resnest_mm.segmentation.labelled_cross_entropy import LabelledCrossEntropyLoss

WEIGHTS = [0.5, 2.0, 0.0]


def by_loops(logits: Tensor, label: Tensor, classes: list[float], pixels: Tensor | None = None) -> float:
    """Return the weighted mean, pixel by pixel in Python's own numbers."""
    total = count = 0.0
    images, _, height, width = logits.shape
    for n in range(images):
        for y in range(height):
            for x in range(width):
                kind = int(label[n, y, x])
                if kind == 255:
                    continue
                exponentials = [math.exp(float(value)) for value in logits[n, :, y, x]]
                pixel = 1.0 if pixels is None else float(pixels[n, y, x])
                total -= pixel * classes[kind] * math.log(exponentials[kind] / sum(exponentials))
                count += classes[kind] if pixel > 0 else 0.0
    return total / count if count else 0.0


def example(ignored: float = 0.4) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    label = torch.randint(0, 3, (2, 3, 4))
    label[torch.rand(label.shape) < ignored] = 255
    return torch.randn(2, 3, 3, 4, dtype=torch.float64, requires_grad=True), label


@pytest.mark.parametrize('ignored', [0.0, 0.4, 0.9])
@pytest.mark.parametrize('weights', [None, WEIGHTS])
def test_it_is_the_mean_over_labelled_pixels(weights: list[float] | None, ignored: float) -> None:
    logits, label = example(ignored)
    loss = LabelledCrossEntropyLoss(class_weight=weights, loss_weight=0.2)(logits, label)
    assert float(loss) == pytest.approx(0.2 * by_loops(logits, label, weights or [1.0] * 3), rel=1e-12)


def test_pixels_that_a_sampler_left_out_do_not_count() -> None:
    logits, label = example()
    pixels = (torch.rand(label.shape) < 0.5).double()
    loss = LabelledCrossEntropyLoss(class_weight=WEIGHTS)(logits, label, pixels)
    assert float(loss) == pytest.approx(by_loops(logits, label, WEIGHTS, pixels), rel=1e-12)


def test_a_batch_without_labels_costs_nothing_and_breaks_nothing() -> None:
    logits, label = example()
    loss = LabelledCrossEntropyLoss(class_weight=WEIGHTS)(logits, torch.full_like(label, 255))
    loss.backward()
    assert float(loss) == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_a_crop_of_many_pixels_fits_into_no_half_precision_number(dtype: torch.dtype) -> None:
    """float16 ends at 65504, which is fewer than the pixels of one crop of 480."""
    torch.manual_seed(0)
    logits, label = torch.randn(1, 3, 260, 260), torch.randint(0, 3, (1, 260, 260))
    loss = LabelledCrossEntropyLoss(class_weight=WEIGHTS)
    exact = loss(logits.to(dtype).double(), label)
    assert float(loss(logits.to(dtype), label)) == pytest.approx(float(exact), rel=1e-5)


def test_a_head_of_mmseg_trains_with_weights_and_ignored_pixels() -> None:
    """mmseg's own loss raises an IndexError here."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        head = MODELS.build(
            dict(
                type='resnest_mm.FCNHead',
                in_channels=4,
                channels=4,
                num_classes=3,
                loss_decode=dict(type='resnest_mm.LabelledCrossEntropyLoss', class_weight=WEIGHTS, loss_weight=0.3),
            )
        )
    logits, label = example()
    loss = head.loss_decode(logits, label, weight=None, ignore_index=head.ignore_index)
    assert head.loss_decode.loss_name == 'loss_ce'
    assert float(loss) == pytest.approx(0.3 * by_loops(logits, label, WEIGHTS), rel=1e-12)


@pytest.mark.parametrize(
    ('wrong', 'error', 'words'),
    [
        (dict(class_weight='abc'), TypeError, 'class_weight'),
        (dict(class_weight=[1.0, 'x']), TypeError, 'numbers only'),
        (dict(class_weight=[1.0, -1.0]), ValueError, 'negative'),
        (dict(class_weight=[0.0, 0.0]), ValueError, 'above 0'),
        (dict(loss_weight=-1), ValueError, 'loss_weight=-1'),
        (dict(loss_name='ce'), ValueError, 'loss_name'),
    ],
)
def test_wrong_arguments_are_refused(wrong: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        LabelledCrossEntropyLoss(**wrong)


def test_another_number_of_classes_is_refused() -> None:
    logits, label = example()
    with pytest.raises(ValueError, match='2 numbers, but there are 3 classes'):
        LabelledCrossEntropyLoss(class_weight=[1.0, 2.0])(logits, label)
