"""The steps of a cascade one by one: gradient, refinement, emptiness, mean probability."""

from __future__ import annotations

import math

import pytest

pytest.importorskip('mmdet', reason='the cascade builds on mmdet')

import torch
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder

from resnest_mm.detection.cascade.gradient_scaling import scale_gradient
from resnest_mm.detection.cascade.stages import mean_probability_logits, refine, split_like, without_empty
from tests.support import cascade_loops as loops


def test_gradient_is_scaled_and_the_value_is_not() -> None:
    x = torch.randn(4, 3, dtype=torch.double, requires_grad=True)
    weight = torch.randn(4, 3, dtype=torch.double)
    y = scale_gradient(x, 0.25)
    assert torch.equal(y, x)
    (gradient,) = torch.autograd.grad((y * weight).sum() + (x * weight).sum(), x)
    torch.testing.assert_close(gradient, weight * 1.25)


def test_second_derivatives_are_scaled_too() -> None:
    x = torch.tensor(2.0, dtype=torch.double, requires_grad=True)
    (first,) = torch.autograd.grad(scale_gradient(x, 0.5) ** 3, x, create_graph=True)
    assert first.item() == 6
    (second,) = torch.autograd.grad(first, x)
    assert second.item() == 3  # half of 6x, halved once more on its own way back


def test_without_gradient_nothing_is_added_to_the_graph() -> None:
    x = torch.randn(3)
    assert scale_gradient(x, 0.5) is x


def test_boxes_are_refined_by_loops_of_each_image() -> None:
    units = (10, 10, 5, 5)
    coder = DeltaXYWHBBoxCoder(target_stds=[1 / unit for unit in units])
    generator = torch.Generator().manual_seed(0)
    boxes = [torch.rand(count, 4, generator=generator, dtype=torch.double) * 20 for count in (4, 0, 3)]
    boxes = [torch.cat([part[:, :2], part[:, :2] + part[:, 2:] + 1], 1) for part in boxes]
    deltas = torch.randn(7, 4, generator=generator, dtype=torch.double, requires_grad=True) * 4
    sizes = [(30, 25), (9, 9), (18, 40)]
    refined = refine(boxes, deltas, coder=coder, metas=[{'img_shape': size} for size in sizes])
    row = 0
    for part, found, size in zip(boxes, refined, sizes, strict=True):
        assert not found.requires_grad and len(found) == len(part)
        for before, after in zip(part.tolist(), found.tolist(), strict=True):
            assert after == pytest.approx(loops.decode(before, deltas[row].tolist(), units, size), abs=1e-9)
            row += 1
    assert any(25 in part.flatten().tolist() or 0 in part.flatten().tolist() for part in refined)


def test_deltas_in_half_precision_leave_coordinates_whole() -> None:
    """A half-precision number between 1024 and 2048 is a whole one, and e to the power of one is known to 1/1000."""
    box = [1000.25, 1000.25, 1300.5, 1300.5]
    deltas = torch.tensor([[0.03, -0.02, 0.1, 0.3]]).half()
    (found,) = refine([torch.tensor([box])], deltas, coder=DeltaXYWHBBoxCoder(), metas=[{'img_shape': (2000, 2000)}])
    assert found.dtype == torch.float
    assert found[0].tolist() == pytest.approx(
        loops.decode(box, deltas[0].tolist(), (1, 1, 1, 1), (2000, 2000)), abs=1e-3
    )


def test_boxes_without_width_or_height_are_empty() -> None:
    boxes = [[0, 0, 1, 1], [2, 2, 2, 5], [2, 2, 5, 2], [5, 2, 2, 5], [2, 5, 5, 2], [3, 3, 3.001, 3.001]]
    assert without_empty(torch.tensor(boxes)).tolist() == torch.tensor([boxes[0], boxes[-1]]).tolist()
    assert without_empty(torch.zeros(0, 4)).shape == (0, 4)


def test_softmax_gives_the_mean_probability_and_not_that_of_the_mean_logits() -> None:
    stages = [torch.tensor([[4.0, 0, 0]]), torch.tensor([[0.0, 2, 0]]), torch.tensor([[0.0, 0, -1]])]
    wanted = []
    for column in range(3):
        probability = 0.0
        for logits in stages:
            row = logits[0].tolist()
            probability += math.exp(row[column]) / sum(math.exp(value) for value in row) / 3
        wanted.append(probability)
    found = mean_probability_logits(stages).softmax(-1)[0]
    assert found.tolist() == pytest.approx(wanted, rel=1e-6)
    mean_logits = torch.stack(stages).mean(0).softmax(-1)[0]
    assert (mean_logits - found).abs().max() > 0.05


def test_probabilities_too_small_for_a_float_stay_finite() -> None:
    logits = mean_probability_logits([torch.tensor([[0.0, -500]]), torch.tensor([[0.0, -400]])])
    assert logits[0].tolist() == pytest.approx([0, -400 - math.log(2)])


def test_rows_go_back_to_their_images() -> None:
    parts = split_like(torch.arange(5), [[1, 2], [], [1, 2, 3]])
    assert [part.tolist() for part in parts] == [[0, 1], [], [2, 3, 4]]
