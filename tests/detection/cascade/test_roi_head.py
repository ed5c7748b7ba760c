"""The cascade trains and scores as detectron2's, number by number."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip('mmdet', reason='the RoI head builds on mmdet')

import torch
from mmdet.models.roi_heads.base_roi_head import BaseRoIHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor

from tests.support import cascade_loops as loops
from tests.support import tiny_cascade as tiny

STAGES = range(3)
BOX_TERMS = [f's{stage}.loss_{term}' for stage in STAGES for term in ('cls', 'bbox')]


@pytest.fixture(scope='module')
def pyramid() -> list[Tensor]:
    """Return feature maps of the two images in double precision."""
    generator = torch.Generator().manual_seed(5)
    sizes = [-(-tiny.PADDED[0] // stride) for stride in tiny.STRIDES]
    return [torch.randn(2, 8, size, size, generator=generator, dtype=torch.double) for size in sizes]


@pytest.fixture
def head() -> Any:
    """Return the RoI head in double precision."""
    return tiny.build_roi_head(tiny.model_config()).double()


def forward_by(head: Any, x: Sequence[Tensor], *, keep_graph: bool = True) -> loops.Predict:
    """Return a function that asks a stage's own layers for logits and deltas, without anything in between."""

    def predict(stage: int, boxes: list[list[loops.Box]]) -> tuple[list[Tensor], list[Tensor]]:
        rois = bbox2roi([torch.tensor(part, dtype=x[0].dtype).reshape(-1, 4) for part in boxes])
        with torch.set_grad_enabled(keep_graph):
            logits, deltas = head.bbox_head[stage](head.bbox_roi_extractor[stage](x[:4], rois))
        counts = [len(part) for part in boxes]
        return list(torch.split(logits, counts)), list(torch.split(deltas, counts))

    return predict


def box_losses_by_loops(head: Any, x: Sequence[Tensor], found: Sequence[InstanceData]) -> dict[str, Tensor]:
    return loops.box_losses(
        forward_by(head, x),
        [each.bboxes.tolist() for each in found],
        tiny.BOXES,
        tiny.LABELS,
        tiny.SIZES,
        thresholds=tiny.THRESHOLDS,
        units=tiny.COORDINATES,
        background=tiny.CLASSES,
    )


def mask_loss_by_loops(head: Any, x: Sequence[Tensor], found: Sequence[InstanceData]) -> Tensor:
    """Average over the pixels of the first stage's positive boxes, each looked up in its object's class."""
    total, count = x[0].new_zeros(()), 0
    for image, sample in enumerate(tiny.data_samples()):
        masks = sample.gt_instances.masks.masks.tolist()
        for box in [*tiny.BOXES[image], *found[image].bboxes.tolist()]:
            target, overlap = loops.nearest(box, tiny.BOXES[image])
            if overlap < tiny.THRESHOLDS[0]:
                continue
            rois = torch.tensor([[image, *box]], dtype=x[0].dtype)
            logits = head.mask_head(head.mask_roi_extractor(x[:4], rois))[0, tiny.LABELS[image][target]]
            wanted = loops.crop_mask(masks[target], box, tiny.MASK_SIZE)
            total = total + loops.binary_cross_entropy(logits, wanted)
            count += tiny.MASK_SIZE**2
    return total / count


def record_rois(head: Any) -> list[list[Tensor]]:
    """Return a list that fills with the boxes that each stage pools from."""
    seen: list[list[Tensor]] = [[] for _ in head.bbox_roi_extractor]
    for stage, extractor in enumerate(head.bbox_roi_extractor):
        extractor.register_forward_pre_hook(lambda _, inputs, stage=stage: seen[stage].append(inputs[1]))
    return seen


def still(head: Any, *, shift: float = 0.0) -> Any:
    """Make every stage move boxes by `shift` of their width to the right, whatever it sees."""
    for stage, box_head in enumerate(head.bbox_head):
        torch.nn.init.zeros_(box_head.fc_reg.weight)
        torch.nn.init.zeros_(box_head.fc_reg.bias)
        box_head.fc_reg.bias.data[0] = shift * tiny.COORDINATES[stage][0]
    return head


def test_all_losses_equal_the_loops(head: Any, pyramid: list[Tensor]) -> None:
    """Three stages of two terms and one mask term, to the precision in which mmdet keeps the targets."""
    found = tiny.proposals(torch.double)
    losses = head.loss(pyramid, found, tiny.data_samples(dtype=torch.double))
    assert sorted(name for name in losses if 'loss' in name) == sorted([*BOX_TERMS, 'loss_mask'])
    expected = box_losses_by_loops(head, pyramid, found)
    assert all(0.1 < expected[f's{stage}.positives'].item() < 0.9 for stage in STAGES)
    for name in BOX_TERMS:
        assert expected[name].item() > 0.01
        assert losses[name].item() == pytest.approx(expected[name].item(), rel=1e-6), name
    assert losses['loss_mask'].item() == pytest.approx(mask_loss_by_loops(head, pyramid, found).item(), rel=1e-6)


def test_the_whole_detectors_nine_losses_equal_the_loops() -> None:
    """The same through `detector.loss`, from pixels, with the network's own proposals, in single precision."""
    detector = tiny.build(tiny.model_config())
    batch, samples = tiny.images(), tiny.data_samples()
    losses = detector.loss(batch, samples)
    losses = {name: (sum(value) if isinstance(value, list) else value).item() for name, value in losses.items()}

    x = detector.extract_feat(batch)
    logits, deltas = detector.rpn_head(x)
    anchors = [
        anchor
        for level in detector.rpn_head.prior_generator.grid_priors([level.shape[-2:] for level in x], device='cpu')
        for anchor in level.tolist()
    ]
    score, place = loops.rpn_losses(
        [torch.cat([level[image].permute(1, 2, 0).flatten() for level in logits]) for image in range(2)],
        [torch.cat([level[image].permute(1, 2, 0).reshape(-1, 4) for level in deltas]) for image in range(2)],
        anchors,
        tiny.BOXES,
        batch=tiny.ANCHORS,
    )
    metas = [sample.metainfo for sample in samples]
    found = detector.rpn_head.predict_by_feat(
        logits, deltas, batch_img_metas=metas, cfg=detector.train_cfg.rpn_proposal
    )
    expected = {'loss_rpn_cls': score, 'loss_rpn_bbox': place, **box_losses_by_loops(detector.roi_head, x, found)}
    expected['loss_mask'] = mask_loss_by_loops(detector.roi_head, x, found)
    expected = {name: value for name, value in expected.items() if 'loss' in name}
    assert {name for name in losses if 'loss' in name} == set(expected) and len(expected) == 9
    for name, value in expected.items():
        assert value.item() > 1e-4
        assert losses[name] == pytest.approx(value.item(), rel=2e-5), name


def test_a_training_step_reaches_every_weight() -> None:
    detector = tiny.build(tiny.model_config())
    losses = detector.loss(tiny.images(), tiny.data_samples())
    detector.parse_losses(losses)[0].backward()
    gradients = {name: p.grad for name, p in detector.named_parameters() if p.requires_grad}
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    for stage in STAGES:
        gradient = gradients[f'roi_head.bbox_head.{stage}.fc_reg.weight']
        assert gradient is not None and gradient.abs().max() > 0


@pytest.mark.parametrize('term', [*BOX_TERMS, 'loss_mask'])
def test_a_third_of_a_stages_gradient_reaches_the_features(head: Any, pyramid: list[Tensor], term: str) -> None:
    """Against the loops' gradient; that of the masks, and those in the stage's own layers, stay whole."""
    x = [level.clone().requires_grad_() for level in pyramid]
    found = tiny.proposals(torch.double)
    loss = head.loss(x, found, tiny.data_samples(dtype=torch.double))[term].sum()
    oracle = mask_loss_by_loops(head, x, found) if term == 'loss_mask' else box_losses_by_loops(head, x, found)[term]
    layer = head.mask_head if term == 'loss_mask' else head.bbox_head[int(term[1])]
    inner = layer.conv_logits.weight if term == 'loss_mask' else layer.shared_convs[0].conv.weight
    ours = torch.autograd.grad(loss, [*x[:4], inner])
    whole = torch.autograd.grad(oracle, [*x[:4], inner])
    share = 1 if term == 'loss_mask' else 1 / 3
    for level in range(4):
        torch.testing.assert_close(ours[level], whole[level] * share, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(ours[4], whole[4], rtol=1e-5, atol=1e-7)
    assert whole[4].abs().max() > 0 and max(gradient.abs().max() for gradient in whole[:4]) > 1e-4


@pytest.mark.parametrize('term', [*BOX_TERMS, 'loss_mask'])
def test_the_gradient_is_a_third_of_the_difference_quotient(head: Any, pyramid: list[Tensor], term: str) -> None:
    """Features are moved in one direction; boxes stay where they are, so that only the losses change with them."""
    head = still(head, shift=0.02)
    found, samples = tiny.proposals(torch.double), tiny.data_samples(dtype=torch.double)
    for stage in STAGES:  # a box loss must depend on the features, and the next stage's boxes must not
        if term == f's{stage}.loss_bbox':
            torch.nn.init.normal_(head.bbox_head[stage].fc_reg.weight, std=1)
    generator = torch.Generator().manual_seed(1)
    directions = [torch.randn(level.shape, generator=generator, dtype=torch.double) for level in pyramid]

    def loss(step: float) -> Tensor:
        moved = [level + step * direction for level, direction in zip(x, directions, strict=True)]
        value: Tensor = head.loss(moved, found, samples)[term].sum()
        return value

    x = [level.clone().requires_grad_() for level in pyramid]
    gradients = torch.autograd.grad(loss(0.0), x[:4])
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=False))
    step = 1e-2 if term == 'loss_mask' else 1e-5  # mmdet takes the mask loss in single precision
    with torch.no_grad():
        quotient = float(loss(step) - loss(-step)) / (2 * step)
    assert abs(quotient) > 1e-3
    assert slope / quotient == pytest.approx(1 if term == 'loss_mask' else 1 / 3, rel=0.02)  # ReLUs have kinks


def test_stage_weights_multiply_the_box_losses_and_not_the_mask(pyramid: list[Tensor]) -> None:
    config = tiny.model_config()
    config.roi_head.stage_loss_weights = [0.5, 0, 3]
    weighted, plain = (tiny.build_roi_head(each).double() for each in (config, tiny.model_config()))
    found, samples = tiny.proposals(torch.double), tiny.data_samples(dtype=torch.double)
    ours, theirs = weighted.loss(pyramid, found, samples), plain.loss(pyramid, found, samples)
    for stage, weight in enumerate((0.5, 0, 3)):
        for term in ('cls', 'bbox'):
            name = f's{stage}.loss_{term}'
            assert ours[name].item() == pytest.approx(weight * theirs[name].item())
        assert torch.equal(ours[f's{stage}.acc'], theirs[f's{stage}.acc'])
    assert torch.equal(ours['loss_mask'], theirs['loss_mask'])


def test_refined_object_boxes_stay_and_none_is_added(head: Any, pyramid: list[Tensor]) -> None:
    """With stages that move every box by 2 % of its width, the boxes of all stages can be written down."""
    seen = record_rois(still(head, shift=0.02))
    found = tiny.proposals(torch.double)
    head.loss(pyramid, found, tiny.data_samples(dtype=torch.double))
    boxes = [[*tiny.BOXES[image], *each.bboxes.tolist()] for image, each in enumerate(found)]
    for stage in STAGES:
        (rois,) = seen[stage]
        expected = sorted([image, *box] for image, part in enumerate(boxes) for box in part)
        torch.testing.assert_close(torch.tensor(sorted(rois.tolist())), torch.tensor(expected))
        boxes = [
            [loops.decode(box, (0.02, 0, 0, 0), (1, 1, 1, 1), tiny.SIZES[image]) for box in part]
            for image, part in enumerate(boxes)
        ]


def test_empty_boxes_leave_the_training_and_stay_in_the_test(head: Any, pyramid: list[Tensor]) -> None:
    """Boxes go right by 1.1 of their width; those that would lie beyond the border shrink to nothing there."""
    seen = record_rois(still(head, shift=1.1))
    found = tiny.proposals(torch.double)
    flat = torch.tensor([[3.0, 3, 3, 40], [5, 70, 20, 60]], dtype=torch.double)  # without width; upside down
    at_border = torch.tensor([[50.0, 10, 62, 40], [60, 50, 64, 64]], dtype=torch.double)  # the image is 64 wide
    found = [InstanceData(bboxes=torch.cat([found[0].bboxes, flat])), InstanceData(bboxes=at_border)]
    head.loss(pyramid, found, tiny.data_samples(dtype=torch.double))
    boxes = [[*tiny.BOXES[image], *each.bboxes.tolist()] for image, each in enumerate(found)]
    counts = []
    for stage in STAGES:
        if stage:
            boxes = [
                [loops.decode(box, (1.1, 0, 0, 0), (1, 1, 1, 1), tiny.SIZES[image]) for box in part]
                for image, part in enumerate(boxes)
            ]
            boxes = [[box for box in part if box[2] > box[0] and box[3] > box[1]] for part in boxes]
        counts.append(sum(len(part) for part in boxes))
        expected = sorted([image, *box] for image, part in enumerate(boxes) for box in part)
        torch.testing.assert_close(torch.tensor(sorted(seen[stage][0].tolist())), torch.tensor(expected))
    assert counts[0] > counts[1] > counts[2]

    for rois in seen:
        rois.clear()
    with torch.no_grad():
        results = head.predict_bbox(pyramid, _metas(), found, None)
    assert [len(each.bboxes) for each in results] == [len(each.bboxes) for each in found]
    assert [len(rois[0]) for rois in seen] == [sum(len(each.bboxes) for each in found)] * 3


def test_only_the_first_stage_samples(pyramid: list[Tensor]) -> None:
    """Ten boxes an image, at most half of them positive, go through all stages."""
    config = tiny.model_config()
    config.train_cfg.rcnn[0].sampler.update(num=10)
    config.train_cfg.rcnn[1].sampler = dict(type='PseudoSampler')
    config.train_cfg.rcnn[2].sampler = dict(type='mmdet.PseudoSampler')
    config.train_cfg.rcnn[2].mask_size = tiny.MASK_SIZE
    head = still(tiny.build_roi_head(config).double())
    seen = record_rois(head)
    head.loss(pyramid, tiny.proposals(torch.double), tiny.data_samples(dtype=torch.double))
    first = sorted(seen[0][0].tolist())
    assert len(first) == 20
    for stage in (1, 2):
        torch.testing.assert_close(torch.tensor(sorted(seen[stage][0].tolist())), torch.tensor(first))


def test_objects_are_boxes_only_where_the_sampler_adds_them(pyramid: list[Tensor]) -> None:
    config = tiny.model_config()
    config.train_cfg.rcnn[0].sampler.add_gt_as_proposals = False
    head = tiny.build_roi_head(config).double()
    seen = record_rois(head)
    found = tiny.proposals(torch.double)
    head.loss(pyramid, found, tiny.data_samples(dtype=torch.double))
    assert len(seen[0][0]) == sum(len(each.bboxes) for each in found)


def test_a_sampler_may_look_at_the_first_stages_losses(pyramid: list[Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """Hard negative mining asks the head for the losses of single boxes, with the features of their image."""
    config = tiny.model_config()
    config.train_cfg.rcnn[0].sampler = dict(type='OHEMSampler', num=6, pos_fraction=0.5)
    head = tiny.build_roi_head(config).double()
    seen, sample = [], head.bbox_sampler.sample

    def record(*args: Any, feats: list[Tensor]) -> Any:
        seen.append(feats)
        return sample(*args, feats=feats)

    monkeypatch.setattr(head.bbox_sampler, 'sample', record)
    losses = head.loss(pyramid, tiny.proposals(torch.double), tiny.data_samples(dtype=torch.double))
    assert all(losses[name].isfinite().all() for name in BOX_TERMS)
    for image in range(2):
        assert all(torch.equal(mine, level[[image]]) for mine, level in zip(seen[image], pyramid, strict=True))


@pytest.mark.parametrize('first', [0, 1, 2])
def test_assigners_see_the_regions_to_ignore(pyramid: list[Tensor], first: int) -> None:
    """From the stage on whose assigner is told so, a box in such a region of its image is no sample."""
    config = tiny.model_config()
    for stage in config.train_cfg.rcnn[first:]:
        stage.assigner.ignore_iof_thr = 0.5
    head = still(tiny.build_roi_head(config).double())
    seen = record_rois(head)
    samples = tiny.data_samples(dtype=torch.double)
    samples[1].ignored_instances = InstanceData(bboxes=torch.tensor([[0.0, 0, 16, 16]], dtype=torch.double))
    samples[0].ignored_instances = InstanceData(bboxes=torch.zeros(0, 4, dtype=torch.double))
    boxes = torch.tensor([[1.0, 1, 12, 12], [30, 40, 44, 60]], dtype=torch.double)
    head.loss(pyramid, [InstanceData(bboxes=boxes), InstanceData(bboxes=boxes)], samples)
    objects = sum(len(part) for part in tiny.BOXES)
    assert [len(rois[0]) - objects for rois in seen] == [3 if stage >= first else 4 for stage in STAGES]


@pytest.mark.parametrize('empty', [(0,), (0, 1)], ids=['one-image', 'both-images'])
def test_images_without_objects_train_as_background(
    head: Any, pyramid: list[Tensor], monkeypatch: pytest.MonkeyPatch, empty: tuple[int, ...]
) -> None:
    found = tiny.proposals(torch.double)
    losses = head.loss(pyramid, found, tiny.data_samples(empty=empty, dtype=torch.double))
    for name, values in (('BOXES', tiny.BOXES), ('LABELS', tiny.LABELS)):
        monkeypatch.setattr(tiny, name, tuple(() if image in empty else each for image, each in enumerate(values)))
    expected = box_losses_by_loops(head, pyramid, found)
    for name in BOX_TERMS:
        assert losses[name].item() == pytest.approx(expected[name].item(), rel=1e-6), name
    assert all(losses[f's{stage}.loss_cls'].item() > 0 for stage in STAGES)
    if len(empty) == 2:
        assert all(losses[name].item() == 0 for name in ('s0.loss_bbox', 's1.loss_bbox', 's2.loss_bbox', 'loss_mask'))
    head.zero_grad()
    sum(value.sum() for name, value in losses.items() if 'loss' in name).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_without_proposals_the_objects_alone_are_trained_on(head: Any, pyramid: list[Tensor]) -> None:
    found = [InstanceData(bboxes=torch.zeros(0, 4, dtype=torch.double)) for _ in range(2)]
    losses = head.loss(pyramid, found, tiny.data_samples(dtype=torch.double))
    expected = box_losses_by_loops(head, pyramid, found)
    for name in BOX_TERMS:
        assert losses[name].item() == pytest.approx(expected[name].item(), rel=1e-6), name


def test_without_any_box_every_loss_is_a_zero_in_the_graph(head: Any, pyramid: list[Tensor]) -> None:
    """Processes of a distributed training must agree on the losses and on the weights that have gradients."""
    x = [level.clone().requires_grad_() for level in pyramid]
    found = [InstanceData(bboxes=torch.zeros(0, 4, dtype=torch.double)) for _ in range(2)]
    losses = head.loss(x, found, tiny.data_samples(empty=(0, 1), dtype=torch.double))
    terms = {name: value for name, value in losses.items() if 'loss' in name}
    assert set(terms) == {*BOX_TERMS, 'loss_mask'}
    assert all(value.item() == 0 for value in terms.values())
    sum(value.sum() for value in terms.values()).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_training_leaves_the_proposals_as_they_were(head: Any, pyramid: list[Tensor]) -> None:
    """mmdet's cascade renames their boxes."""
    found, before = tiny.proposals(torch.double), tiny.proposals(torch.double)
    head.loss(pyramid, found, tiny.data_samples(dtype=torch.double))
    for one, other in zip(found, before, strict=True):
        assert one.keys() == other.keys() and torch.equal(one.bboxes, other.bboxes)


def _metas() -> list[dict[str, Any]]:
    return [sample.metainfo for sample in tiny.data_samples()]


def scores_by_loops(head: Any, x: Sequence[Tensor], found: Sequence[InstanceData]) -> list[tuple[Tensor, Tensor]]:
    """Return boxes of the last stage and the mean of the stages' probabilities of each image."""
    predict = forward_by(head, x, keep_graph=False)
    boxes = [each.bboxes.tolist() for each in found]
    totals = [torch.zeros(len(part), tiny.CLASSES + 1, dtype=x[0].dtype) for part in boxes]
    for stage in STAGES:
        logits, deltas = predict(stage, boxes)
        for image, part in enumerate(boxes):
            for row in range(len(part)):
                powers = [float(value.exp()) for value in logits[image][row]]
                totals[image][row] += torch.tensor([power / sum(powers) / 3 for power in powers], dtype=x[0].dtype)
        boxes = [
            [
                loops.decode(box, deltas[image][row].tolist(), tiny.COORDINATES[stage], tiny.SIZES[image])
                for row, box in enumerate(part)
            ]
            for image, part in enumerate(boxes)
        ]
    return [(torch.tensor(part, dtype=x[0].dtype), total) for part, total in zip(boxes, totals, strict=True)]


@torch.no_grad()
def test_scores_are_mean_probabilities_and_not_of_mean_logits(head: Any, pyramid: list[Tensor]) -> None:
    found = tiny.proposals(torch.double)
    results = head.predict_bbox(pyramid, _metas(), found, None)
    for result, (boxes, scores) in zip(results, scores_by_loops(head, pyramid, found), strict=True):
        torch.testing.assert_close(result.scores, scores, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(result.bboxes, boxes, rtol=1e-9, atol=1e-9)
    stock = tiny.stock_twin(head).double()
    theirs = stock.predict_bbox(pyramid, _metas(), copy.deepcopy(found), None)
    for result, other in zip(results, theirs, strict=True):
        torch.testing.assert_close(result.bboxes, other.bboxes)
        assert (result.scores - other.scores).abs().max() > 0.01


@torch.no_grad()
def test_rescaled_boxes_are_those_of_the_original_image(head: Any, pyramid: list[Tensor]) -> None:
    found = tiny.proposals(torch.double)
    small = head.predict_bbox(pyramid, _metas(), found, None)
    large = head.predict_bbox(pyramid, _metas(), found, None, rescale=True)
    for one, other in zip(small, large, strict=True):
        torch.testing.assert_close(other.bboxes, one.bboxes * 2)
        assert torch.equal(one.scores, other.scores)


@torch.no_grad()
@pytest.mark.parametrize('without', [(0,), (1,), (0, 1)])
@pytest.mark.parametrize('raw', [False, True])
def test_images_without_proposals_have_no_detections(without: tuple[int, ...], raw: bool) -> None:
    head = tiny.build_roi_head(tiny.model_config())
    x = [torch.randn(2, 8, 96 // stride, 96 // stride) for stride in tiny.STRIDES[:4]]
    found = tiny.proposals()
    full = head.predict_bbox(x, _metas(), found, None if raw else head.test_cfg)
    for image in without:
        found[image] = InstanceData(bboxes=torch.zeros(0, 4))
    results = head.predict_bbox(x, _metas(), found, None if raw else head.test_cfg)
    for image in range(2):
        if image in without:
            assert len(results[image].bboxes) == len(results[image].scores) == 0
            assert results[image].scores.dim() == (2 if raw else 1)
        else:
            torch.testing.assert_close(results[image].bboxes, full[image].bboxes)
    if not raw:
        masked = head.predict_mask(x, _metas(), results, rescale=True)
        assert [len(each.masks) for each in masked] == [len(each.bboxes) for each in masked]


@torch.no_grad()
def test_one_mask_head_copied_into_every_stage_gives_mmdets_cascade_the_same_masks() -> None:
    ours = tiny.build_roi_head(tiny.model_config())
    theirs = tiny.stock_twin(ours)
    x = [torch.randn(2, 8, 96 // stride, 96 // stride) for stride in tiny.STRIDES[:4]]
    detections = ours.predict_bbox(x, _metas(), tiny.proposals(), ours.test_cfg)
    assert all(len(each) for each in detections)
    calls: list[int] = []
    ours.mask_head.register_forward_pre_hook(lambda _, inputs: calls.append(len(inputs[0])))
    for rescale in (False, True):
        one = ours.predict_mask(x, _metas(), copy.deepcopy(detections), rescale=rescale)
        other = theirs.predict_mask(x, _metas(), copy.deepcopy(detections), rescale=rescale)
        for ours_, theirs_ in zip(one, other, strict=True):
            assert torch.equal(ours_.masks, theirs_.masks) and ours_.masks.any() and not ours_.masks.all()
            assert torch.equal(ours_.bboxes, theirs_.bboxes)
    assert calls == [sum(len(each) for each in detections)] * 2


@torch.no_grad()
def test_a_detector_predicts_boxes_and_masks_of_the_original_images() -> None:
    """Scores, and boxes after NMS, come from the mean probabilities; masks belong to the final boxes."""
    detector = tiny.build(tiny.model_config()).eval()
    samples = detector.predict(tiny.images(), tiny.data_samples(), rescale=True)
    x = detector.extract_feat(tiny.images())
    found = detector.rpn_head.predict(x, tiny.data_samples(), rescale=False)
    for sample, (boxes, scores) in zip(samples, scores_by_loops(detector.roi_head, x, found), strict=True):
        result = sample.pred_instances
        assert 0 < len(result) <= 100 and result.masks.shape == (len(result), *sample.ori_shape)
        for box, score, label in zip(result.bboxes / 2, result.scores, result.labels, strict=True):
            distances = (boxes - box).abs().amax(1) + (scores[:, label] - score).abs()
            assert distances.min() < 1e-3


@torch.no_grad()
def test_tensor_mode_returns_the_parts_of_every_image(head: Any, pyramid: list[Tensor]) -> None:
    found, samples = tiny.proposals(torch.double), tiny.data_samples(dtype=torch.double)
    logits, deltas, masks = head(pyramid, found, samples)
    expected = scores_by_loops(head, pyramid, found)
    for image, (_, scores) in enumerate(expected):
        torch.testing.assert_close(logits[image].softmax(-1), scores)
        assert deltas[image].shape == (len(scores), 4)
        assert masks[image].shape == (len(scores), tiny.CLASSES, tiny.MASK_SIZE, tiny.MASK_SIZE)
        assert masks[image].min() >= 0 and masks[image].max() <= 1
    config = tiny.model_config(masks=False)
    assert len(tiny.build_roi_head(config).double()(pyramid, found, samples)) == 2


def test_boxes_alone_train_and_predict() -> None:
    detector = tiny.build(tiny.model_config(masks=False))
    assert not detector.roi_head.with_mask
    losses = detector.loss(tiny.images(), tiny.data_samples())
    assert [name for name in losses if 'mask' in name] == [] and set(BOX_TERMS) <= set(losses)
    with torch.no_grad():
        samples = detector.eval().predict(tiny.images(), tiny.data_samples(), rescale=True)
    assert all('masks' not in sample.pred_instances and len(sample.pred_instances) for sample in samples)


def test_panoptic_fpn_trains_and_predicts_with_it() -> None:
    config = tiny.model_config()
    config.type = 'PanopticFPN'
    config.semantic_head = dict(
        type='PanopticFPNHead',
        num_things_classes=tiny.CLASSES,
        num_stuff_classes=2,
        in_channels=8,
        inner_channels=8,
        norm_cfg=None,
        loss_seg=dict(type='CrossEntropyLoss', ignore_index=255, loss_weight=0.5),
    )
    config.panoptic_fusion_head = dict(type='HeuristicFusionHead', num_things_classes=tiny.CLASSES, num_stuff_classes=2)
    config.test_cfg.panoptic = dict(
        score_thr=0.3,
        max_per_img=10,
        mask_thr_binary=0.5,
        mask_overlap=0.5,
        nms=dict(type='nms', iou_threshold=0.5),
        stuff_area_limit=4,
    )
    config.test_cfg.rcnn.score_thr = 0.3
    detector = tiny.build(config)
    samples = tiny.data_samples()
    from mmengine.structures import PixelData

    for sample in samples:
        sample.gt_sem_seg = PixelData(sem_seg=torch.zeros(1, *tiny.PADDED, dtype=torch.long))
    losses = detector.loss(tiny.images(), samples)
    assert {*BOX_TERMS, 'loss_mask', 'loss_seg'} <= set(losses)
    with torch.no_grad():
        predicted = detector.eval().predict(tiny.images(), tiny.data_samples(), rescale=True)
    assert all(sample.pred_panoptic_seg.sem_seg.shape[-2:] == sample.ori_shape for sample in predicted)


def test_keys_are_those_of_a_cascade_with_one_mask_head() -> None:
    keys = tiny.build_roi_head(tiny.model_config()).state_dict()
    parts = ['shared_convs.0.conv', 'shared_convs.1.conv', 'shared_convs.2.conv', 'shared_convs.3.conv']
    boxes = [f'bbox_head.{stage}.{part}' for stage in STAGES for part in [*parts, 'shared_fcs.0', 'fc_cls', 'fc_reg']]
    masks = [f'mask_head.{part}' for part in ('convs.0.conv', 'upsample', 'conv_logits')]
    assert set(keys) == {f'{part}.{name}' for part in [*boxes, *masks] for name in ('weight', 'bias')}


def test_the_config_stays_as_it_was() -> None:
    config = tiny.model_config().roi_head
    config.update(train_cfg=tiny.model_config().train_cfg.rcnn, test_cfg=tiny.model_config().test_cfg.rcnn)
    before = copy.deepcopy(config)
    with DefaultScope.overwrite_default_scope('mmdet'):
        head = MODELS.build(config)
    assert isinstance(head, BaseRoIHead) and config == before
    head.train_cfg[0].pos_weight = 5
    assert config == before


def test_plain_dicts_and_one_config_for_all_stages_do() -> None:
    config = tiny.model_config().to_dict()
    roi_head = {**config['roi_head'], 'bbox_head': config['roi_head']['bbox_head'][0]}
    with DefaultScope.overwrite_default_scope('mmdet'):
        head = MODELS.build({**roi_head, 'train_cfg': tuple(config['train_cfg']['rcnn']), 'num_stages': 3})
    assert [box_head.bbox_coder.stds for box_head in head.bbox_head] == [[0.1, 0.1, 0.2, 0.2]] * 3
    assert len({id(box_head) for box_head in head.bbox_head}) == 3


def _replace(path: str, value: Any) -> ConfigDict:
    """Return the head's config with one value changed, or taken away where it is None."""
    config = tiny.model_config()
    roi_head = ConfigDict(**config.roi_head, train_cfg=config.train_cfg.rcnn)
    *parents, name = path.split('.')
    node: Any = roi_head
    for parent in parents:
        node = node[int(parent) if parent.isdigit() else parent]
    if value is None:
        del node[name]
    else:
        node[name] = value
    return roi_head


@pytest.mark.parametrize(
    ('path', 'value', 'error', 'message'),
    [
        ('num_stages', 0, ValueError, 'num_stages=0 must be a whole number, 1 or more'),
        ('num_stages', '3', TypeError, "num_stages='3' must be a whole number"),
        ('num_stages', 2, ValueError, 'bbox_head has 3 configs and must have 2'),
        ('bbox_head.1.reg_class_agnostic', False, ValueError, r'bbox_head\[1\] has reg_class_agnostic=False.*set reg_'),
        ('bbox_head.2.reg_class_agnostic', None, ValueError, r'bbox_head\[2\] has reg_class_agnostic=False'),
        ('bbox_head', 'Shared2FCBBoxHead', TypeError, 'bbox_head=.* must be a config, or a list'),
        (
            'bbox_head.0.loss_cls',
            dict(type='SeesawLoss', num_classes=3),
            ValueError,
            r'bbox_head\[0\] has the loss Sees',
        ),
        ('bbox_head.0.type', 'ConvFCBBoxHeadless', KeyError, 'ConvFCBBoxHeadless'),
        ('bbox_roi_extractor', [], ValueError, 'bbox_roi_extractor has 0 configs and must have 3'),
        ('mask_head', [dict(type='FCNMaskHead')] * 3, TypeError, 'must be one config or None: all stages share'),
        ('mask_head', None, ValueError, 'mask_head is missing'),
        ('mask_roi_extractor', None, ValueError, 'mask_roi_extractor is missing'),
        ('stage_loss_weights', [1, 1], ValueError, r'stage_loss_weights=\[1, 1\] must have 3 numbers'),
        ('stage_loss_weights', [1, 1, -1], ValueError, 'finite numbers, 0 or more'),
        ('stage_loss_weights', [1, 1, float('nan')], ValueError, 'finite numbers, 0 or more'),
        ('stage_loss_weights', [1, 1, True], TypeError, 'must hold numbers'),
        ('stage_loss_weights', 1, TypeError, 'must be a list with one number for each stage'),
        ('train_cfg', dict(assigner=dict()), TypeError, 'train_cfg=.* must be a list of 3 configs'),
        ('train_cfg', [dict()], ValueError, 'train_cfg has 1 configs and must have 3'),
        ('train_cfg.0.sampler', None, ValueError, r"train_cfg\[0\] lacks \['sampler'\]"),
        ('train_cfg.0.mask_size', None, ValueError, r"train_cfg\[0\] lacks \['mask_size'\]"),
        ('train_cfg.1.assigner', None, ValueError, r"train_cfg\[1\] lacks \['assigner'\]"),
        ('train_cfg.2.pos_weight', None, ValueError, r"train_cfg\[2\] lacks \['pos_weight'\]"),
        ('train_cfg.1.sampler', dict(type='RandomSampler', num=512), ValueError, r'train_cfg\[1\].sampler has type='),
        (
            'train_cfg.2.mask_size',
            14,
            ValueError,
            r'train_cfg\[2\].mask_size=14 differs from that of train_cfg\[0\], 8',
        ),
        ('shared_head', dict(type='ResLayer'), TypeError, 'shared_head'),
    ],
)
def test_wrong_arguments_are_refused(path: str, value: Any, error: type[Exception], message: str) -> None:
    config = _replace(path, value)
    with DefaultScope.overwrite_default_scope('mmdet'), pytest.raises(error, match=message):
        MODELS.build(config)


def test_heads_that_predict_no_deltas_are_refused() -> None:
    config = _replace('num_stages', 3)
    config.bbox_head = dict(
        type='SABLHead',
        num_classes=3,
        reg_class_agnostic=True,
        cls_in_channels=8,
        reg_in_channels=8,
        roi_feat_size=7,
        reg_feat_up_ratio=2,
        reg_pre_kernel=3,
        reg_post_kernel=3,
        reg_pre_num=2,
        reg_post_num=1,
        cls_out_channels=16,
        reg_offset_out_channels=16,
        reg_cls_out_channels=16,
        num_cls_fcs=1,
        num_reg_fcs=0,
    )
    with (
        DefaultScope.overwrite_default_scope('mmdet'),
        pytest.raises(ValueError, match=r'bbox_head\[0\] has the box coder BucketingBBoxCoder'),
    ):
        MODELS.build(config)


def test_a_released_cascade_loads_strictly() -> None:
    """The converter's names for a detector with one mask head are this head's names."""
    from resnest_mm.weights.convert.detector import convert_detector

    config = tiny.model_config().roi_head
    heads = dict(in_channels=256, conv_out_channels=256, num_classes=80, norm_cfg=dict(type='BN'))
    for bbox_head in config.bbox_head:
        bbox_head.update(fc_out_channels=1024, roi_feat_size=7, **heads)
    config.mask_head.update(num_convs=4, **heads)
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        head = MODELS.build(config)
    converted = convert_detector(_released('mask_cascade_rcnn_ResNeSt_50_FPN_syncBN_1x'))
    start = 'roi_head.'
    head.load_state_dict(
        {key.removeprefix(start): value for key, value in converted.items() if key.startswith(start)},
        strict=True,
        assign=True,
    )


def _released(name: str) -> dict[str, Tensor]:
    import importlib

    key_lists = importlib.import_module('tests.support.key_lists')
    state: dict[str, Tensor] = key_lists.detector(key_lists.DETECTORS[name])
    return state
