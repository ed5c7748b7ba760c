"""The semantic head is detectron2's: its logits, its loss at full resolution, its labels."""

from __future__ import annotations

import math
from typing import Any

import pytest

pytest.importorskip('mmdet', reason='the head builds on mmdet')

import torch
from mmdet.models.seg_heads import PanopticFPNHead
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from torch import Tensor, nn
from torch.nn import functional as F

from resnest_mm.detection.panoptic.semantic_head import Detectron2SemanticHead

STUFF, CHANNELS, INNER = 3, 6, 4


def build(**arguments: Any) -> Detectron2SemanticHead:
    torch.manual_seed(0)
    head = Detectron2SemanticHead(num_stuff_classes=STUFF, in_channels=CHANNELS, inner_channels=INNER, **arguments)
    head.init_weights()
    return head


def pyramid(images: int = 2, *, height: int = 64, width: int = 96) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(images, CHANNELS, height // stride, width // stride, generator=generator, dtype=torch.double)
        for stride in (4, 8, 16, 32, 64)
    ]


def samples(labels: Tensor) -> list[DetDataSample]:
    made = []
    for entry in labels:
        sample = DetDataSample()
        sample.gt_sem_seg = PixelData(sem_seg=entry[None].to(torch.uint8))
        made.append(sample)
    return made


def convolved(image: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(image[None], weight, padding=1)[0].clamp(min=0)


def enlarged(image: Tensor) -> Tensor:
    """Return twice the size: a new pixel's centre lies a quarter beside the old ones', the border is repeated."""
    for dim in (1, 2):
        size = image.shape[dim]
        rows = []
        for new in range(2 * size):
            place = min(max((new + 0.5) / 2 - 0.5, 0.0), size - 1.0)
            low = int(place)
            high = min(low + 1, size - 1)
            share = place - low
            rows.append(image.select(dim, low) * (1 - share) + image.select(dim, high) * share)
        image = torch.stack(rows, dim)
    return image


def test_logits_are_those_of_the_layers_one_by_one() -> None:
    """1, 1, 2 and 3 convolutions, and each but the first map doubled after each of them."""
    head = build().double()
    maps = pyramid(1)
    convs = [[step.conv.weight for step in layer.conv] for layer in head.conv_upsample_layers]
    total = convolved(maps[0][0], convs[0][0])
    for level, weights in enumerate(convs[1:], start=1):
        assert len(weights) == level
        value = maps[level][0]
        for weight in weights:
            value = enlarged(convolved(value, weight))
        total = total + value
    wanted = F.conv2d(total[None], head.conv_logits.weight, head.conv_logits.bias)
    given = head(maps)['seg_preds']
    assert given.shape == (1, STUFF + 1, 16, 24)
    torch.testing.assert_close(given, wanted, rtol=1e-12, atol=1e-12)


def test_logits_are_mmdets_without_biases_and_with_things_first() -> None:
    head = build()
    theirs = PanopticFPNHead(
        num_things_classes=5, num_stuff_classes=STUFF, in_channels=CHANNELS, inner_channels=INNER, norm_cfg=None
    )
    state = head.state_dict()
    for name in ('conv_logits.weight', 'conv_logits.bias'):
        state[name] = state[name].roll(-1, 0)
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith('conv.bias') for name in missing) and len(missing) == 7
    for name in missing:
        nn.init.zeros_(theirs.get_parameter(name))
    maps = [level.float() for level in pyramid()]
    assert torch.equal(head(maps)['seg_preds'], theirs(maps)['seg_preds'].roll(1, 1))


def test_loss_is_half_the_mean_over_the_labelled_pixels_of_the_whole_image() -> None:
    head = build().double()
    maps = pyramid()
    labels = torch.randint(0, STUFF + 1, (2, 64, 96), generator=torch.Generator().manual_seed(2))
    labels[0, :20], labels[1, :, 50:] = 255, 255
    whole = F.interpolate(head(maps)['seg_preds'], size=(64, 96), mode='bilinear', align_corners=False)
    terms = [
        -whole[image, :, row, column].log_softmax(0)[label]
        for image, row, column in (labels != 255).nonzero().tolist()
        for label in [labels[image, row, column]]
    ]
    given = head.loss(maps, samples(labels))
    assert given.keys() == {'loss_seg'}
    torch.testing.assert_close(given['loss_seg'], 0.5 * torch.stack(terms).mean(), rtol=1e-9, atol=0)


def test_batch_without_a_labelled_pixel_has_no_loss_and_no_gradient() -> None:
    head = build()
    maps = [level.float() for level in pyramid()]
    loss = head.loss(maps, samples(torch.full((2, 64, 96), 255)))['loss_seg']
    loss.backward()
    assert loss.item() == 0
    assert all(not parameter.grad.any() for parameter in head.parameters() if parameter.grad is not None)


@pytest.mark.parametrize(
    ('labels', 'message'),
    [
        (torch.full((2, 64, 96), STUFF + 1), r'label is 4, but 0 is things, stuff is 1 to 3.*make_stuff_maps'),
        (torch.zeros(2, 64, 90), r'sizes \[\(64, 90\)\], but the padded images have \(64, 96\); set pad_seg'),
    ],
)
def test_labels_of_another_kind_are_refused(labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build().double().loss(pyramid(), samples(labels))


def test_missing_labels_and_maps_are_named() -> None:
    with pytest.raises(ValueError, match='no semantic labels'):
        build().double().loss(pyramid(), [DetDataSample(), DetDataSample()])
    with pytest.raises(ValueError, match='x has 3 feature maps'):
        build().double()(pyramid()[:3])


def test_all_weights_start_as_kaimings() -> None:
    head = Detectron2SemanticHead(num_stuff_classes=53, in_channels=64, inner_channels=128)
    head.init_weights()
    assert head.conv_logits.weight.std().item() == pytest.approx(math.sqrt(2 / 54), rel=0.04)
    assert not head.conv_logits.bias.any()
    for layer in head.conv_upsample_layers:
        for step in layer.conv:
            assert step.conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 128)), rel=0.02)


@pytest.mark.parametrize('name', ['num_stuff_classes', 'in_channels', 'inner_channels'])
def test_numbers_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f'{name}=0'):
        Detectron2SemanticHead(**{name: 0})
