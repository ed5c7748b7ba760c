"""The losses of the region proposal network are divided as detectron2 divides them: by 256 for each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip('mmdet', reason='the head builds on mmdet')

import torch
from mmengine.config import ConfigDict
from torch import Tensor

from tests.support import cascade_loops as loops
from tests.support import tiny_cascade as tiny

EMPTY = [(), (0,), (0, 1)]
TERMS = ('loss_rpn_cls', 'loss_rpn_bbox')


def config(*, anchors: int, stock: bool = False) -> ConfigDict:
    """Return the tiny cascade, of which a number of anchors of an image is trained."""
    found = tiny.model_config()
    found.train_cfg.rpn.sampler.num = anchors
    if stock:
        found.rpn_head.type = 'RPNHead'
    return found


def pyramid(images: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    sizes = [-(-tiny.PADDED[0] // stride) for stride in tiny.STRIDES]
    return [torch.randn(images, 8, size, size, generator=generator, dtype=torch.double) for size in sizes]


def losses(head: Any, x: list[Tensor], empty: Sequence[int]) -> tuple[dict[str, Tensor], list[list[int]]]:
    """Return both losses and which anchors of each image the sampler chose."""
    samples = tiny.data_samples(empty=tuple(empty), dtype=torch.double)[: len(x[0])]
    for sample in samples:
        sample.gt_instances.labels = torch.zeros_like(sample.gt_instances.labels)
    chosen, choose = [], head.sampler.sample

    def record(*args: Any, **kwargs: Any) -> Any:
        result = choose(*args, **kwargs)
        chosen.append([*result.pos_inds.tolist(), *result.neg_inds.tolist()])
        return result

    head.sampler.sample = record
    try:
        found = head.loss(x, samples)
    finally:
        head.sampler.sample = choose
    return {name: sum(found[name]) for name in TERMS}, chosen


def losses_by_loops(
    head: Any, x: list[Tensor], empty: Sequence[int], chosen: Sequence[Sequence[int]], batch: int
) -> dict[str, Tensor]:
    logits, deltas = head(x)
    sizes = [level.shape[-2:] for level in x]
    anchors = [anchor for level in head.prior_generator.grid_priors(sizes, device='cpu') for anchor in level.tolist()]
    images = range(len(x[0]))
    found = loops.rpn_losses(
        [torch.cat([level[image].permute(1, 2, 0).flatten() for level in logits]) for image in images],
        [torch.cat([level[image].permute(1, 2, 0).reshape(-1, 4) for level in deltas]) for image in images],
        anchors,
        [() if image in empty else tiny.BOXES[image] for image in images],
        batch=batch,
        chosen=chosen,
    )
    return dict(zip(TERMS, found, strict=True))


@pytest.mark.parametrize('empty', EMPTY, ids=['objects-in-both-images', 'in-one', 'in-none'])
@pytest.mark.parametrize('anchors', [256, 3000], ids=['256-of-more-anchors', 'fewer-anchors-than-3000'])
def test_both_losses_and_their_gradients_equal_the_loops(anchors: int, empty: Sequence[int]) -> None:
    """An image counts as 256 anchors, whether it has objects and so many anchors or not."""
    torch.manual_seed(0)
    head = tiny.build(config(anchors=anchors)).rpn_head.double()
    x = [level.requires_grad_() for level in pyramid(2)]
    found, chosen = losses(head, x, empty)
    counts = [len(set(part)) for part in chosen]
    assert counts == [256, 256] if anchors == 256 else all(1000 < count < 3000 for count in counts)
    expected = losses_by_loops(head, x, empty, chosen, anchors)
    for name in TERMS:
        assert found[name].item() == pytest.approx(expected[name].item(), rel=1e-6, abs=1e-12), name
        assert (expected[name].item() > 1e-4) == (name == 'loss_rpn_cls' or len(empty) < 2)
        for ours, theirs in zip(
            torch.autograd.grad(found[name], x, retain_graph=True),
            torch.autograd.grad(expected[name], x, retain_graph=True),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-9)


def test_mmdets_head_counts_an_image_without_objects_as_one_anchor_more() -> None:
    """This is why the head exists; mmdet also divides by the anchors that it found, where these are fewer."""
    x = pyramid(1)
    for anchors, divisor in ((256, 257), (3000, None)):
        head = tiny.build(config(anchors=anchors, stock=True)).rpn_head.double()
        torch.manual_seed(0)
        found, chosen = losses(head, x, (0,))
        by_count = losses_by_loops(head, x, (0,), chosen, divisor or len(chosen[0]) + 1)
        assert found['loss_rpn_cls'].item() == pytest.approx(by_count['loss_rpn_cls'].item(), rel=1e-6)


def test_a_sampler_without_a_number_of_anchors_is_refused() -> None:
    """Without `sampler`, mmdet takes all anchors and divides by the positive ones."""
    without = config(anchors=256)
    del without.train_cfg.rpn.sampler
    head = tiny.build(without).rpn_head.double()
    samples = tiny.data_samples(dtype=torch.double)
    with pytest.raises(ValueError, match=r'train_cfg.rpn.sampler is a PseudoSampler.*RandomSampler'):
        head.loss(pyramid(2), samples)


def test_it_predicts_and_stores_as_mmdets_head() -> None:
    """Only the losses differ: a checkpoint of one fits the other, and both propose the same boxes."""
    ours, theirs = (tiny.build(config(anchors=256, stock=stock)).rpn_head.eval() for stock in (False, True))
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x, samples = [level.float() for level in pyramid(2)], tiny.data_samples()
    for one, other in zip(ours.predict(x, samples), theirs.predict(x, samples), strict=True):
        assert torch.equal(one.bboxes, other.bboxes) and len(one.bboxes)
