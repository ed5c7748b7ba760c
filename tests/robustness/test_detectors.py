"""Detectors with the authors' parts train and predict on odd images: tiny ones, without objects, with empty masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip('mmdet', reason='the heads build on mmdet')

from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.structures import InstanceData

from tests.support import tiny_cascade as tiny
from tests.support.amounts import amount, record_counts

BOXES: dict[str, Callable[[np.random.Generator, int, int], list[float]]] = {
    'usual': lambda draw, h, w: [w * 0.1, h * 0.2, w * draw.uniform(0.4, 1), h * draw.uniform(0.5, 1)],
    'whole image': lambda _, h, w: [0, 0, w, h],
    'one pixel': lambda draw, h, w: _small(draw, h, w, 1.0),
    'part of a pixel': lambda draw, h, w: _small(draw, h, w, 0.05),
    'one row': lambda _, h, w: [0, h - 1, w, h],
    'always the same': lambda _, h, w: [w * 0.25, h * 0.25, w * 0.75, h * 0.75],
}
MASKS = ('its box', 'nothing', 'elsewhere')


def _small(draw: np.random.Generator, height: int, width: int, side: float) -> list[float]:
    x, y = draw.uniform(0, width - side), draw.uniform(0, height - side)
    return [x, y, x + side, y + side]


def objects(draw: np.random.Generator, height: int, width: int, *, polygons: bool) -> InstanceData:
    """Draw up to four objects of an image with odd boxes and masks; the polygons of a mask may have no area."""
    boxes, masks = [], []
    for _ in range(draw.choice([0, 0, 1, 2, 4])):
        x1, y1, x2, y2 = BOXES[str(draw.choice(list(BOXES)))](draw, height, width)
        boxes.append([x1, y1, x2, y2])
        shown = str(draw.choice(MASKS))
        left, top = (x1, y1) if shown == 'its box' else (0.0, 0.0)
        right, bottom = {'its box': (x2, y2), 'nothing': (0.0, 0.0), 'elsewhere': (2.0, 2.0)}[shown]
        masks.append((left, top, right, bottom))
    found: PolygonMasks | BitmapMasks = PolygonMasks(
        [[np.array([x1, y1, x2, y1, x2, y2, x1, y2])] for x1, y1, x2, y2 in masks], *tiny.PADDED
    )
    return InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(draw.integers(0, tiny.CLASSES, len(boxes))),
        masks=found if polygons else found.to_bitmap(),
    )


def images(draw: np.random.Generator) -> tuple[torch.Tensor, list[DetDataSample]]:
    """Draw one or two images, some of them a few pixels wide; crowds are the objects that are ignored."""
    samples = []
    polygons = bool(draw.integers(2))
    for _ in range(draw.integers(1, 3)):
        height, width = (int(draw.choice([1, 3, 33, 96])) for _ in range(2))
        sample = DetDataSample(
            gt_instances=objects(draw, height, width, polygons=polygons),
            ignored_instances=objects(draw, height, width, polygons=polygons),
            metainfo={
                'img_shape': (height, width),
                'ori_shape': (height * 2, width * 2),
                'batch_input_shape': tiny.PADDED,
                'pad_shape': tiny.PADDED,
                'scale_factor': (0.5, 0.5),
            },
        )
        samples.append(sample)
    pixels = torch.tensor(draw.normal(size=(len(samples), 3, *tiny.PADDED)), dtype=torch.float32)
    return pixels, samples


def no_proposals(results: InstanceData, *args: Any, **kwargs: Any) -> InstanceData:
    return InstanceData(bboxes=results.bboxes[:0], scores=results.scores[:0], labels=results.level_ids[:0])


def test_detectors_on_odd_images(
    record_property: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every loss is finite, every weight has a finite gradient, and every detection has an area in its image."""
    outcomes: Counter[str] = Counter()
    detectors = {
        'boxes': tiny.build(tiny.model_config(masks=False)),
        'boxes and masks': tiny.build(tiny.model_config()),
    }
    for number in range(amount(16, whole=1000)):
        draw = np.random.default_rng(number)
        torch.manual_seed(number)
        name = str(draw.choice(list(detectors)))
        detector = detectors[name]
        pixels, samples = images(draw)
        without = draw.random() < 0.2
        with monkeypatch.context() as patch:
            if without:
                patch.setattr(detector.rpn_head, '_bbox_post_process', no_proposals)
            detector.train().zero_grad()
            total, terms = detector.parse_losses(detector.loss(pixels, samples))
            total.backward()
            with torch.no_grad():
                results = detector.eval().predict(pixels, samples)
        case = f'{name}, number {number}'
        assert all(torch.isfinite(torch.as_tensor(value)).all() for value in terms.values()), (case, terms)
        for key, weight in detector.named_parameters():
            if weight.requires_grad:
                assert weight.grad is not None and weight.grad.isfinite().all(), (case, key)
        for sample in results:
            height, width = sample.ori_shape
            found = sample.pred_instances
            assert (found.bboxes[:, 2:] > found.bboxes[:, :2]).all(), case
            # A detector with masks scales its boxes in single precision.
            limits = torch.tensor([width, height, width, height]) * (1 + 1e-6)
            assert (found.bboxes >= 0).all() and (found.bboxes <= limits).all(), case
            if name == 'boxes and masks':
                assert tuple(found.masks.shape) == (len(found.bboxes), height, width), case
        kept = sum(len(sample.gt_instances) for sample in samples)
        outcomes[f'{name}, {"with" if kept else "without"} objects{", without proposals" if without else ""}'] += 1
    record_counts(record_property, 'odd images in training and test', outcomes)
