"""Boxes and maps between an image and its views, and what an NMS leaves of several views."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

pytest.importorskip('mmdet', reason='views are read off what mmdet records')

from mmengine.registry import TRANSFORMS, DefaultScope

from resnest_mm.detection.test_time.views import View, mean_of, merge_boxes
from tests.support.tta_loops import box_in_image, suppress, with_area

DIRECTIONS = (None, 'horizontal', 'vertical', 'diagonal')
FLIPS = {None: (), 'horizontal': (1,), 'vertical': (0,), 'diagonal': (0, 1)}


def meta(original: tuple[int, int], shape: tuple[int, int], direction: str | None = None) -> dict[str, Any]:
    # The scale factor is that of the second of two resizes, as mmcv leaves it: none to go by.
    found: dict[str, Any] = {'ori_shape': original, 'img_shape': shape, 'scale_factor': (1.5, 1.5)}
    return found if direction is None else {**found, 'flip': True, 'flip_direction': direction}


def painted(box: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    image = np.zeros(size, dtype=np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 1
    return image


def found_box(image: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(image)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize('direction', DIRECTIONS)
def test_a_box_is_where_its_pixels_are_after_a_resize_and_a_flip(direction: str | None) -> None:
    boxes = [(2, 1, 7, 4), (0, 0, 3, 8), (9, 5, 12, 8)]
    view = View.from_metainfo(meta((8, 12), (24, 36), direction))
    for box in boxes:
        image = painted(box, (8, 12)).repeat(3, axis=0).repeat(3, axis=1)
        expected = found_box(np.flip(image, FLIPS[direction]))
        assert view.from_original(torch.tensor([box], dtype=torch.float64))[0].tolist() == expected
        back = view.to_original(torch.tensor([expected], dtype=torch.float64))[0].tolist()
        assert back == pytest.approx(box, abs=1e-12)


@pytest.mark.parametrize('direction', DIRECTIONS)
def test_axes_have_scales_of_their_own(direction: str | None) -> None:
    """Rounding to whole pixels resizes the two sides of an image by slightly different factors."""
    original, shape = (427, 640), (533, 800)
    boxes = torch.tensor([[10.0, 20.0, 300.0, 410.0], [0.0, 0.0, 800.0, 533.0]], dtype=torch.float64)
    moved = View.from_metainfo(meta(original, shape, direction)).to_original(boxes).tolist()
    for box, expected in zip(boxes.tolist(), moved, strict=True):
        assert expected == pytest.approx(box_in_image(box, original, shape, direction), abs=1e-9)
    assert moved[1] == pytest.approx([0, 0, 640, 427], abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(1, 2000)] * 4),
    corners=st.tuples(*[st.floats(0, 1)] * 4),
    direction=st.sampled_from(DIRECTIONS),
)
def test_boxes_come_back(
    sizes: tuple[int, ...], corners: tuple[float, float, float, float], direction: str | None
) -> None:
    mirrored = (direction in ('horizontal', 'diagonal'), direction in ('vertical', 'diagonal'))
    view = View((sizes[0], sizes[1]), (sizes[2], sizes[3]), mirrored)
    box = torch.tensor([corners], dtype=torch.float64) * torch.tensor([sizes[1], sizes[0]], dtype=torch.float64).repeat(
        2
    )
    torch.testing.assert_close(view.to_original(view.from_original(box)), box, rtol=1e-9, atol=1e-9)


def test_the_boxes_handed_in_stay_as_they_are() -> None:
    boxes = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    view = View((8, 12), (8, 12), (True, True))
    view.to_original(boxes), view.from_original(boxes)
    assert boxes.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize('direction', DIRECTIONS)
def test_maps_are_turned_back(direction: str | None) -> None:
    maps = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    seen = np.flip(maps, [axis + 2 for axis in FLIPS[direction]]).copy()
    upright = View.from_metainfo(meta((8, 12), (24, 36), direction)).upright(torch.from_numpy(seen))
    assert np.array_equal(upright.numpy(), maps)


@settings(max_examples=40, deadline=None)
@example(size=(391, 8), first=(133, 80), second=40)
@given(
    size=st.tuples(st.integers(8, 500), st.integers(8, 500)),
    first=st.sampled_from([(333, 200), (133, 80), None]),
    second=st.sampled_from([40, 400, 57]),
)
def test_images_resized_twice_are_views_and_padded_ones_are_not(
    size: tuple[int, int], first: tuple[int, int] | None, second: int
) -> None:
    results: dict[str, Any] = {'img': np.zeros((*size, 1), dtype=np.uint8), 'img_shape': size, 'ori_shape': size}
    scales = [scale for scale in (first, (4000, second)) if scale is not None]
    with DefaultScope.overwrite_default_scope('mmdet'):
        for scale in scales:
            results = TRANSFORMS.build({'type': 'Resize', 'scale': scale, 'keep_ratio': True})(results)
    view = View.from_metainfo(results)
    assert view == View(size, results['img'].shape[:2])
    height, width = view.shape
    padded = {**results, 'img_shape': (height + height // 2 + 9, width)}
    with pytest.raises(ValueError, match='tta_pipeline may only resize'):
        View.from_metainfo(padded)


def test_a_view_may_be_squeezed_by_one_resize() -> None:
    squeezed = {'ori_shape': (100, 201), 'img_shape': (64, 64), 'scale_factor': (64 / 201, 64 / 100)}
    assert View.from_metainfo(squeezed).scale == (64 / 201, 64 / 100)
    with pytest.raises(ValueError, match='64x64 pixels does not have the shape of its 100x201 image'):
        View.from_metainfo({**squeezed, 'scale_factor': (1.0, 1.0)})


@pytest.mark.parametrize('missing', ['ori_shape', 'img_shape'])
def test_a_view_without_its_shapes_says_what_to_add(missing: str) -> None:
    complete = meta((8, 12), (24, 36))
    with pytest.raises(ValueError, match=f'no {missing}; add it to meta_keys of PackDetInputs'):
        View.from_metainfo({key: value for key, value in complete.items() if key != missing})


def random_boxes(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 60
    boxes = torch.cat([corner, corner + 5 + torch.rand(count, 2, generator=generator) * 40], dim=1)
    return boxes, torch.rand(count, generator=generator), torch.randint(0, 3, (count,), generator=generator)


@pytest.mark.parametrize(('most', 'seed'), [(100, 0), (5, 1)])
def test_boxes_are_merged_class_by_class_as_by_hand(most: int, seed: int) -> None:
    boxes, scores, labels = random_boxes(60, seed)
    boxes[0] = torch.tensor([-9.0, -3.0, 200.0, 300.0])
    scores[1] = 0.1
    scores[0] = 0.99
    merged = merge_boxes(
        boxes,
        scores,
        labels,
        image_size=(50, 70),
        score_thr=0.1,
        nms={'type': 'nms', 'iou_threshold': 0.4},
        max_per_img=most,
    )
    good = [
        (box, score, label)
        for box, score, label in zip(boxes.tolist(), scores.tolist(), labels.tolist(), strict=True)
        if score > scores[1].item()
    ]
    detections = with_area(good, (50, 70))
    expected = suppress(detections, threshold=0.4, most=most)
    assert 3 < len(expected) < len(detections) < len(good)
    assert len(merged[0]) == len(expected)
    assert merged[0].tolist() == [pytest.approx(box) for box, _, _ in expected]
    assert merged[1].tolist() == pytest.approx([score for _, score, _ in expected])
    assert merged[2].tolist() == [label for _, _, label in expected]


@pytest.mark.parametrize(
    'flat',
    [[70.0, 5, 80, 20], [-9.0, 5, 0, 20], [5.0, -30, 20, -10], [5.0, 50, 20, 51], [5.0, 5, 5, 20], [5.0, 20, 9, 20]],
)
def test_boxes_without_area_do_not_take_the_places_of_others(flat: list[float]) -> None:
    """A box that the border of the image cuts to nothing is dropped before the best boxes are chosen."""
    boxes = torch.tensor([flat, [10.0, 10, 30, 30], flat, [40.0, 10, 60, 30]])
    merged = merge_boxes(
        boxes,
        torch.tensor([0.9, 0.8, 0.7, 0.6]),
        torch.tensor([0, 0, 1, 1]),
        image_size=(50, 70),
        score_thr=0.1,
        nms={'type': 'nms', 'iou_threshold': 0.5},
        max_per_img=2,
    )
    assert merged[0].tolist() == boxes[[1, 3]].tolist()
    assert merged[1].tolist() == pytest.approx([0.8, 0.6]) and merged[2].tolist() == [0, 1]


def test_nothing_is_left_of_nothing() -> None:
    for count, threshold in ((0, 0.0), (4, 1.0)):
        boxes, scores, labels = merge_boxes(
            *random_boxes(count, 0),
            image_size=(50, 70),
            score_thr=threshold,
            nms={'type': 'nms', 'iou_threshold': 0.5},
            max_per_img=100,
        )
        assert boxes.shape == (0, 4) and scores.shape == labels.shape == (0,)


def test_the_mean_is_taken_in_full_precision_over_all() -> None:
    values = [torch.full((2, 3), value, dtype=torch.float16) for value in (0.1, 0.2, 0.9)]
    mean = mean_of(iter(values))
    assert mean.dtype == torch.float32
    expected = sum(float(value[0, 0]) for value in values) / 3
    assert mean.tolist() == [[pytest.approx(expected, abs=1e-6)] * 3] * 2
    assert values[0][0, 0] == torch.tensor(0.1, dtype=torch.float16)
    with pytest.raises(ValueError, match='nothing to average'):
        mean_of([])
