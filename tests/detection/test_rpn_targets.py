"""Which anchors are trained on: detectron2's rule for overlaps, and no anchor left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip('mmdet', reason='the assigner and the anchors build on mmdet')

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.registry import TASK_UTILS
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from tests.support import cascade_loops as loops
from tests.support import tiny_cascade as tiny

Boxes = Sequence[Sequence[float]]


def build(kind: str = 'resnest_mm.Detectron2RPNAssigner', **arguments: Any) -> Any:
    with DefaultScope.overwrite_default_scope('mmdet'):
        return TASK_UTILS.build(dict(type=kind, **arguments))


def assign(assigner: Any, anchors: Boxes, objects: Boxes, labels: Sequence[int] | None = None) -> Any:
    labels = range(len(objects)) if labels is None else labels
    return assigner.assign(
        InstanceData(priors=torch.tensor(anchors, dtype=torch.float).reshape(-1, 4)),
        InstanceData(
            bboxes=torch.tensor(objects, dtype=torch.float).reshape(-1, 4),
            labels=torch.tensor(list(labels), dtype=torch.long),
        ),
    )


def expected(anchors: Boxes, objects: Boxes, **thresholds: float) -> list[int]:
    """Return what mmdet stores: the object from 1, 0 for background, -1 for no part."""
    if not objects:
        return [0] * len(anchors)
    return [target + 1 if sign > 0 else sign for sign, target in loops.rpn_targets(anchors, objects, **thresholds)]


def box(overlap: float) -> list[float]:
    """Return a part of the object [0, 0, 100, 10] with this overlap."""
    return [0, 0, 100 * overlap, 10]


OBJECT = [0.0, 0, 100, 10]
FAR = [500.0, 500, 510, 510]


@pytest.mark.parametrize(
    ('overlap', 'part'), [(0.1, 0), (0.25, 0), (0.3, -1), (0.5, -1), (0.6875, -1), (0.7, 1), (0.75, 1), (1, 1)]
)
def test_thresholds_belong_to_the_upper_side(overlap: float, part: int) -> None:
    """The last anchor fits best, so that the one before lives by the thresholds alone."""
    assigner = build()
    assert assign(assigner, [box(overlap), OBJECT], [OBJECT]).gt_inds.tolist() == [part, 1]


def test_thresholds_are_those_given() -> None:
    assigner = build(pos_iou_thr=0.5, neg_iou_thr=0.25)
    anchors = [box(0.2), box(0.25), box(0.4), box(0.5), OBJECT]
    assert assign(assigner, anchors, [OBJECT]).gt_inds.tolist() == [0, -1, -1, 1, 1]


@pytest.mark.parametrize('overlap', [0.5, 0.25, 0.01])
def test_the_best_anchor_is_positive_however_small_its_overlap(overlap: float) -> None:
    """mmdet's configs ask for 0.3."""
    anchors = [box(overlap / 2), box(overlap), FAR]
    assert assign(build(), anchors, [OBJECT]).gt_inds.tolist() == [0, 1, 0]
    stock = build('MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3)
    assert assign(stock, anchors, [OBJECT]).gt_inds.tolist() == [0, int(overlap >= 0.3), 0]


def test_all_of_several_best_anchors_are_positive() -> None:
    anchors = [[0, 0, 50, 10], [50, 0, 100, 10], [0, 0, 100, 5], [0, 0, 40, 10]]
    assert assign(build(), anchors, [OBJECT]).gt_inds.tolist() == [1, 1, 1, -1]


def test_an_anchor_keeps_the_object_it_overlaps_most() -> None:
    """It is the best for the small object too; mmdet would give it that one."""
    objects = [[0, 0, 10, 10], [0, 0, 10, 2]]
    anchors = [[0, 0, 10, 9], FAR]
    result = assign(build(), anchors, objects, labels=[5, 7])
    assert result.gt_inds.tolist() == [1, 0] and result.labels.tolist() == [5, -1]
    assert result.max_overlaps.tolist() == pytest.approx([0.9, 0])
    stock = build('MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0)
    assert assign(stock, anchors, objects).gt_inds.tolist() == [2, 0]


def test_a_low_quality_anchor_may_be_positive_for_another_object() -> None:
    """The best anchor of the second object overlaps the first more, but too little to be positive by itself."""
    objects = [[0, 0, 10, 10], [8, 0, 12, 10]]
    anchors = [[0, 0, 10, 10], [4, 0, 11, 10]]
    assert assign(build(), anchors, objects).gt_inds.tolist() == [1, 1]


def test_an_object_that_no_anchor_touches_makes_all_positive() -> None:
    """As in detectron2, whose rule has no minimum: every anchor attains the largest overlap, zero."""
    objects = [[0, 0, 10, 10], [900, 900, 910, 910]]
    anchors = [[0, 0, 10, 10], [0, 0, 10, 5], [300, 300, 310, 310]]
    assert assign(build(), anchors, objects).gt_inds.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ('anchors', 'objects', 'parts'), [([OBJECT, FAR], [], [0, 0]), ([], [OBJECT], []), ([], [], [])]
)
def test_nothing_to_assign(anchors: Boxes, objects: Boxes, parts: list[int]) -> None:
    result = assign(build(), anchors, objects)
    assert result.gt_inds.tolist() == parts and result.labels.tolist() == [-1] * len(parts)
    assert result.max_overlaps.tolist() == [0] * len(parts) and result.num_gts == len(objects)
    assert result.gt_inds.dtype == result.labels.dtype == torch.long


def test_crowds_make_no_difference() -> None:
    anchors = InstanceData(priors=torch.tensor([OBJECT, box(0.5)]))
    objects = InstanceData(bboxes=torch.tensor([OBJECT]), labels=torch.tensor([0]))
    crowd = InstanceData(bboxes=torch.tensor([[0.0, 0, 200, 200]]), labels=torch.tensor([0]))
    assigner = build()
    assert assigner.assign(anchors, objects, crowd).gt_inds.tolist() == [1, -1]


rectangles = st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 8)] * 2)
ASSIGNERS = {(0.3, 0.7): build(), (0.2, 0.45): build(neg_iou_thr=0.2, pos_iou_thr=0.45)}


@settings(max_examples=60, deadline=None)
@given(st.lists(rectangles, min_size=1, max_size=12), st.lists(rectangles, max_size=4))
def test_any_boxes_are_assigned_as_by_loops(anchors: list[tuple[int, ...]], objects: list[tuple[int, ...]]) -> None:
    """Small whole numbers make many ties, and overlaps that differ do so by more than a rounding."""
    boxes, targets = ([[x, y, x + w, y + h] for x, y, w, h in each] for each in (anchors, objects))
    for (low, high), assigner in ASSIGNERS.items():
        assert assign(assigner, boxes, targets).gt_inds.tolist() == expected(boxes, targets, low=low, high=high)


@pytest.mark.parametrize(
    ('arguments', 'error', 'message'),
    [
        (dict(pos_iou_thr=1.5), ValueError, r'pos_iou_thr=1.5 must be in \[0, 1\]'),
        (dict(neg_iou_thr=-0.1), ValueError, r'neg_iou_thr=-0.1 must be in \[0, 1\]'),
        (dict(neg_iou_thr=(0, 0.3)), TypeError, r'neg_iou_thr=\(0, 0.3\) must be a number'),
        (dict(pos_iou_thr=True), TypeError, 'pos_iou_thr=True must be a number'),
        (dict(pos_iou_thr=0.2), ValueError, 'neg_iou_thr=0.3 must not be above pos_iou_thr=0.2'),
        (dict(min_pos_iou=0.3), TypeError, 'min_pos_iou'),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(**arguments)


def generator(kind: str) -> Any:
    return build(kind, scales=[4], ratios=[0.5, 1.0, 2.0], strides=[4, 8])


def test_all_anchors_are_valid_whatever_an_images_own_padding() -> None:
    ours, theirs = generator('resnest_mm.AllValidAnchorGenerator'), generator('AnchorGenerator')
    sizes = [(6, 8), (3, 4)]
    flags = ours.valid_flags(sizes, (8, 16), device='cpu')
    assert [each.tolist() for each in flags] == [[True] * 144, [True] * 36]
    assert [int(each.sum()) for each in theirs.valid_flags(sizes, (8, 16), device='cpu')] == [24, 6]
    for one, other in zip(ours.grid_priors(sizes, device='cpu'), theirs.grid_priors(sizes, device='cpu'), strict=True):
        assert torch.equal(one, other)


def test_levels_must_be_as_many_as_strides() -> None:
    with pytest.raises(ValueError, match='zip'):
        generator('resnest_mm.AllValidAnchorGenerator').valid_flags([(6, 8)], (8, 16), device='cpu')


@pytest.fixture(scope='module')
def features() -> list[torch.Tensor]:
    generator_ = torch.Generator().manual_seed(5)
    sizes = [-(-tiny.PADDED[0] // stride) for stride in tiny.STRIDES]
    return [torch.randn(2, 8, size, size, generator=generator_, dtype=torch.double) for size in sizes]


def rpn_losses(head: Any, x: list[torch.Tensor]) -> list[float]:
    samples = tiny.data_samples(dtype=torch.double)
    for sample in samples:
        sample.gt_instances.labels = torch.zeros_like(sample.gt_instances.labels)
    losses = head.loss(x, samples)
    return [sum(losses[name]).item() for name in ('loss_rpn_cls', 'loss_rpn_bbox')]


def test_losses_of_unequal_images_equal_the_loops_and_not_mmdets(features: list[torch.Tensor]) -> None:
    """One image is high and one is wide, so that both have anchors in padding that only the batch needs."""
    head = tiny.build(tiny.model_config()).rpn_head.double()
    logits, deltas = head(features)
    anchors = [
        anchor
        for level in head.prior_generator.grid_priors([level.shape[-2:] for level in features], device='cpu')
        for anchor in level.tolist()
    ]
    score, place = loops.rpn_losses(
        [torch.cat([level[image].permute(1, 2, 0).flatten() for level in logits]) for image in range(2)],
        [torch.cat([level[image].permute(1, 2, 0).reshape(-1, 4) for level in deltas]) for image in range(2)],
        anchors,
        tiny.BOXES,
        batch=tiny.ANCHORS,
    )
    wanted = [score.item(), place.item()]
    assert rpn_losses(head, features) == pytest.approx(wanted, rel=1e-6)
    stock = tiny.build(tiny.model_config(stock=True)).rpn_head.double()
    stock.load_state_dict(head.state_dict())
    parts = [sign for objects in tiny.BOXES for sign, _ in loops.rpn_targets(anchors, objects)]
    divided_by_mmdet = [value * tiny.ANCHORS * 2 / (len(parts) - parts.count(-1)) for value in wanted]
    for found, value in zip(rpn_losses(stock, features), divided_by_mmdet, strict=True):
        assert abs(found / value - 1) > 1e-3
    stock.prior_generator, stock.assigner = head.prior_generator, head.assigner
    assert rpn_losses(stock, features) == pytest.approx(divided_by_mmdet, rel=1e-6)
