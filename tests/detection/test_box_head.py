"""What the box head makes of its outputs in a test, against the same written out in loops."""

from __future__ import annotations

import math
from typing import Any

import pytest

pytest.importorskip('mmdet', reason='the head builds on mmdet')

import torch
from mmdet.models.layers import multiclass_nms
from mmdet.models.task_modules.assigners import AssignResult
from mmdet.models.task_modules.samplers import PseudoSampler
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor

from tests.support import tta_loops
from tests.support.cascade_loops import decode

OURS, THEIRS = 'resnest_mm.Detectron2Shared4Conv1FCBBoxHead', 'Shared4Conv1FCBBoxHead'
CLASSES = 3
UNITS = (10, 10, 5, 5)
SIZE, ORIGINAL = (60, 90), (83, 125)  # height and width of the network's image and of the image file
BEST = 12
CFG = ConfigDict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=BEST)


def build(kind: str, *, agnostic: bool = False) -> Any:
    coder = dict(type='DeltaXYWHBBoxCoder', target_stds=[1 / unit for unit in UNITS])
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(
            dict(
                type=kind,
                in_channels=8,
                conv_out_channels=8,
                fc_out_channels=16,
                roi_feat_size=3,
                num_classes=CLASSES,
                reg_class_agnostic=agnostic,
                bbox_coder=coder,
            )
        )


def outputs(count: int, *, agnostic: bool, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return rois [N, 5], logits and deltas of an image. Every second roi is moved right, many of them out of it."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([80.0, 50.0])
    boxes = torch.cat([corner, corner + 6 + torch.rand(count, 2, generator=generator) * 20], dim=1)
    boxes = boxes.minimum(torch.tensor([90.0, 60, 90, 60]))
    deltas = torch.randn(count, 1 if agnostic else CLASSES, 4, generator=generator)
    deltas[::2, :, 0] += 40
    logits = torch.randn(count, CLASSES + 1, generator=generator)
    logits[::2, 0] += 2
    return torch.cat([torch.zeros(count, 1), boxes], dim=1), logits, deltas.flatten(1)


def meta() -> dict[str, Any]:
    return {
        'img_shape': SIZE,
        'ori_shape': ORIGINAL,
        'scale_factor': (SIZE[1] / ORIGINAL[1], SIZE[0] / ORIGINAL[0]),
    }


def by_loops(rois: Tensor, logits: Tensor, deltas: Tensor, *, rescale: bool) -> tuple[list[tta_loops.Detection], int]:
    """Return the detections, and how many boxes without area are among the best."""
    found: list[tta_loops.Detection] = []
    for roi, row, moves in zip(rois[:, 1:].tolist(), logits.tolist(), deltas.tolist(), strict=True):
        total = sum(math.exp(value) for value in row)
        for label in range(CLASSES):
            score = math.exp(row[label]) / total
            if score > 0.05:
                delta = moves if len(moves) == 4 else moves[4 * label : 4 * label + 4]
                found.append((list(decode(roi, delta, UNITS, SIZE)), score, label))
    best = tta_loops.suppress(found, threshold=0.5, most=BEST)
    size = ORIGINAL if rescale else SIZE
    scaled = [(tta_loops.box_in_image(box, size, SIZE, None), score, label) for box, score, label in best]
    kept = tta_loops.with_area(scaled, size)
    return kept, len(best) - len(kept)


@pytest.mark.parametrize('agnostic', [False, True])
@pytest.mark.parametrize('rescale', [False, True])
def test_boxes_without_area_are_dropped_from_the_best(agnostic: bool, rescale: bool) -> None:
    """NMS, the best boxes, the original size, the border, and then the boxes of which nothing is left."""
    head = build(OURS, agnostic=agnostic)
    given = [outputs(60, agnostic=agnostic, seed=seed) for seed in (0, 1)]
    rois, logits, deltas = zip(*given, strict=True)
    results = head.predict_by_feat(rois, logits, deltas, [meta(), meta()], rcnn_test_cfg=CFG, rescale=rescale)
    for result, each in zip(results, given, strict=True):
        expected, dropped = by_loops(*each, rescale=rescale)
        assert dropped >= 2 and len(expected) >= 4
        assert result.labels.tolist() == [label for _, _, label in expected]
        assert result.scores.tolist() == pytest.approx([score for _, score, _ in expected], abs=1e-6)
        for box, (wanted, _, _) in zip(result.bboxes.tolist(), expected, strict=True):
            assert box == pytest.approx(wanted, abs=1e-3)


def test_mmdets_head_keeps_them() -> None:
    """This is why the head exists."""
    rois, logits, deltas = outputs(60, agnostic=True)
    (result,) = build(THEIRS, agnostic=True).predict_by_feat([rois], [logits], [deltas], [meta()], rcnn_test_cfg=CFG)
    assert len(result.bboxes) == BEST
    assert not (result.bboxes[:, 2:] > result.bboxes[:, :2]).all()


def test_nms_sees_boxes_of_the_resized_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """An IoU at the threshold may be rounded to its other side once boxes are scaled."""
    seen: list[Tensor] = []

    def record(boxes: Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.append(boxes)
        return multiclass_nms(boxes, *args, **kwargs)

    monkeypatch.setattr('mmdet.models.roi_heads.bbox_heads.bbox_head.multiclass_nms', record)
    rois, logits, deltas = outputs(20, agnostic=True)
    for kind, factor in ((OURS, 1), (THEIRS, 125 / 90)):
        build(kind, agnostic=True).predict_by_feat([rois], [logits], [deltas], [meta()], CFG, True)
        pairs = zip(rois[:, 1:].tolist(), deltas.tolist(), strict=True)
        wanted = [decode(roi, delta, UNITS, SIZE)[2] * factor for roi, delta in pairs]
        assert seen.pop()[:, 2].tolist() == pytest.approx(wanted, abs=1e-3)


def test_a_box_ends_at_the_border_of_the_image_file() -> None:
    """A rounded scale factor puts the border of the resized image a little outside of the image file."""
    rois, logits, deltas = torch.tensor([[0.0, 0, 0, 90, 60]]), torch.tensor([[4.0, 0, 0, 0]]), torch.zeros(1, 4)
    rounded = {**meta(), 'scale_factor': (0.719, 0.722)}
    (result,) = build(OURS, agnostic=True).predict_by_feat([rois], [logits], [deltas], [rounded], CFG, True)
    assert result.bboxes.tolist() == [[0.0, 0.0, 125.0, 83.0]]


@pytest.mark.parametrize('rescale', [False, True])
def test_without_proposals_there_are_no_boxes(rescale: bool) -> None:
    rois, logits, deltas = torch.zeros(0, 5), torch.zeros(0, CLASSES + 1), torch.zeros(0, 4)
    (result,) = build(OURS, agnostic=True).predict_by_feat([rois], [logits], [deltas], [meta()], CFG, rescale)
    assert result.bboxes.shape == (0, 4) and result.scores.shape == result.labels.shape == (0,)


@pytest.mark.parametrize('rescale', [False, True])
def test_all_boxes_are_given_where_no_selection_is_asked_for(rescale: bool) -> None:
    """mmdet's way to the raw outputs, without `rcnn_test_cfg`, is unchanged."""
    rois, logits, deltas = outputs(20, agnostic=True)
    ours, theirs = (
        build(kind, agnostic=True).predict_by_feat([rois], [logits], [deltas], [meta()], None, rescale)[0]
        for kind in (OURS, THEIRS)
    )
    assert torch.equal(ours.bboxes, theirs.bboxes) and torch.equal(ours.scores, theirs.scores)
    assert len(ours.bboxes) == 20


def test_weights_of_one_head_fit_the_other() -> None:
    build(OURS).load_state_dict(build(THEIRS).state_dict(), strict=True)


@pytest.mark.parametrize('agnostic', [False, True])
def test_without_proposals_both_losses_are_zeros_in_the_graph(agnostic: bool) -> None:
    """Processes of a distributed training must agree on the losses and on the weights that have gradients."""
    head = build(OURS, agnostic=agnostic)
    logits, deltas = head(torch.zeros(0, 8, 3, 3))
    nothing = InstanceData(priors=torch.zeros(0, 4))
    objects = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    assigned = AssignResult(0, objects.labels, torch.zeros(0), labels=objects.labels)
    samples = [PseudoSampler().sample(assigned, nothing, objects)]
    losses = head.loss_and_target(logits, deltas, torch.zeros(0, 5), samples, ConfigDict(pos_weight=-1))['loss_bbox']
    assert {name: float(value) for name, value in losses.items() if 'loss' in name} == {'loss_cls': 0, 'loss_bbox': 0}
    (losses['loss_cls'] + losses['loss_bbox']).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())
