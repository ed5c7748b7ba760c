"""The crop around an object: its size, its place, and what becomes of boxes, masks and flags."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip('mmdet', reason='the crop works on mmdet boxes and masks')

from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.registry import TRANSFORMS, DefaultScope

from resnest_mm.detection.crop import CropAroundInstance, Window

Box = tuple[float, float, float, float]


def scene(height: int, width: int, boxes: list[Box] | None = None, **extra: Any) -> dict[str, Any]:
    """An image whose pixels hold their own number, row by row, so that a crop tells where it was taken."""
    image = np.arange(height * width, dtype=np.int32).reshape(height, width, 1).repeat(3, axis=2)
    results: dict[str, Any] = {'img': image, 'img_shape': (height, width), 'ori_shape': (height, width), **extra}
    if boxes is not None:
        results['gt_bboxes'] = HorizontalBoxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
        results['gt_bboxes_labels'] = np.arange(len(boxes))
        results.setdefault('gt_ignore_flags', np.zeros(len(boxes), dtype=bool))
    return results


def place(results: dict[str, Any], width: int) -> Window:
    """Return where in an image of the given width a crop was taken."""
    top, left = divmod(int(results['img'][0, 0, 0]), width)
    return Window(top, left, *results['img'].shape[:2])


def crop_at(window: Window, results: dict[str, Any]) -> dict[str, Any]:
    transform = CropAroundInstance()
    transform._draw = lambda image_size, centres: window  # type: ignore[method-assign]
    cropped: dict[str, Any] = transform(results)
    return cropped


def draws(transform: CropAroundInstance, results: dict[str, Any], count: int, seed: int = 0) -> list[Window]:
    np.random.seed(seed)
    return [place(transform(dict(results)), results['img'].shape[1]) for _ in range(count)]


def rectangle(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    return np.array([x1, y1, x2, y1, x2, y2, x1, y2], dtype=float)


def allowed_offsets(centre: float, crop: int, size: int) -> list[int]:
    """Every offset of the recipe's law, found by trying all."""
    low, high = max(math.floor(centre) - crop, 0), min(max(size - crop, 0), math.ceil(centre))
    return [offset for offset in range(-size, 2 * size) if low <= offset <= high]


def clipped(points: list[tuple[float, float]], window: Window) -> list[tuple[float, float]]:
    """Cut a convex polygon at the four sides of a window, one after the other, and move it there."""
    sides = [
        (0, window.left, 1),
        (0, window.left + window.width, -1),
        (1, window.top, 1),
        (1, window.top + window.height, -1),
    ]
    for axis, bound, sign in sides:
        kept: list[tuple[float, float]] = []
        for index, end in enumerate(points):
            start = points[index - 1]
            a, b = (start[axis] - bound) * sign, (end[axis] - bound) * sign
            if a * b < 0:
                share = a / (a - b)
                kept.append((start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])))
            if b >= 0:
                kept.append(end)
        points = kept
    return [(x - window.left, y - window.top) for x, y in points]


def area(points: list[tuple[float, float]]) -> float:
    doubled = 0.0
    for index, (x, y) in enumerate(points):
        before = points[index - 1]
        doubled += before[0] * y - x * before[1]
    return abs(doubled) / 2


def test_each_side_is_a_uniform_share_rounded_half_up_and_both_are_independent() -> None:
    height, width, count = 7, 11, 3000
    found = draws(CropAroundInstance(crop_range=(0.5, 1.0)), scene(height, width), count)
    shares = [0.5 + (step + 0.5) / 2000 for step in range(1000)]
    expected = {size: Counter(int(size * share + 0.5) for share in shares) for size in (height, width)}
    assert set(expected[7]) == {4, 5, 6, 7}
    pairs = Counter((window.height, window.width) for window in found)
    assert set(pairs) == {(h, w) for h in expected[7] for w in expected[11]}
    for (h, w), seen in pairs.items():
        share = expected[7][h] / 1000 * expected[11][w] / 1000
        assert seen == pytest.approx(count * share, abs=5 * math.sqrt(count * share))


@pytest.mark.parametrize(
    'box',
    [(1.0, 2.0, 4.0, 5.0), (0.0, 0.0, 1.0, 1.0), (10.2, 7.0, 12.0, 8.0), (5.0, 3.0, 6.0, 4.4), (2.0, 2.0, 6.0, 6.0)],
    ids=['inside', 'corner', 'other-corner', 'fractions', 'whole-centre'],
)
def test_offsets_are_uniform_over_those_of_the_recipe(box: Box) -> None:
    height, width, count = 8, 12, 1500
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    expected = {(v, h) for v in allowed_offsets(y, 4, height) for h in allowed_offsets(x, 6, width)}
    assert len(expected) > 1
    found = draws(CropAroundInstance(crop_range=(0.5, 0.5)), scene(height, width, [box]), count)
    assert {(window.height, window.width) for window in found} == {(4, 6)}
    places = Counter((window.top, window.left) for window in found)
    assert set(places) == expected
    mean = count / len(expected)
    assert all(seen == pytest.approx(mean, abs=5 * math.sqrt(mean)) for seen in places.values())


def test_every_annotation_is_picked_as_often_crowds_included() -> None:
    boxes: list[Box] = [(0, 0, 4, 10), (48, 0, 52, 10), (96, 0, 100, 10)]
    flags = np.array([False, True, False])
    found = draws(CropAroundInstance(crop_range=(0.2, 0.2)), scene(10, 100, boxes, gt_ignore_flags=flags), 1500)
    near = Counter(
        index
        for window in found
        for index, box in enumerate(boxes)
        if window.left in allowed_offsets((box[0] + box[2]) / 2, 20, 100)
    )
    assert sum(near.values()) == 1500
    assert all(near[index] == pytest.approx(500, abs=5 * math.sqrt(500)) for index in range(3))


@settings(max_examples=200, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    corners=st.tuples(*[st.floats(-5, 45, width=32)] * 4),
    low=st.floats(0.05, 1),
    seed=st.integers(0, 2**31),
)
def test_a_crop_lies_in_the_image_and_holds_the_centre_to_a_pixel(
    size: tuple[int, int], corners: Box, low: float, seed: int
) -> None:
    box = (min(corners[0], corners[2]), min(corners[1], corners[3]), max(corners[0::2]), max(corners[1::2]))
    results = scene(*size, [box])
    image = results['img'].copy()
    (window,) = draws(CropAroundInstance(crop_range=(low, 1.0)), results, 1, seed)
    assert window.top >= 0 and window.top + window.height <= size[0]
    assert window.left >= 0 and window.left + window.width <= size[1]
    assert window.height >= 1 and window.width >= 1
    # A centre that lies outside the image stands for the border next to it.
    x, y = min(max((box[0] + box[2]) / 2, 0), size[1]), min(max((box[1] + box[3]) / 2, 0), size[0])
    assert window.left - 1 < x < window.left + window.width + 1
    assert window.top - 1 < y < window.top + window.height + 1
    np.random.seed(seed)
    cropped = CropAroundInstance(crop_range=(low, 1.0))(results)
    for row in range(window.height):
        for column in range(window.width):
            assert (cropped['img'][row, column] == image[window.top + row, window.left + column]).all()


def test_images_without_annotations_are_cropped_anywhere() -> None:
    for results in (scene(6, 4), scene(6, 4, []), scene(6, 4, [], gt_masks=PolygonMasks([], 6, 4))):
        found = draws(CropAroundInstance(crop_range=(0.5, 0.5)), results, 400)
        assert {(window.top, window.left) for window in found} == {(top, left) for top in range(4) for left in range(3)}
    cropped = crop_at(Window(1, 1, 3, 2), scene(6, 4, [], gt_masks=PolygonMasks([], 6, 4)))
    assert len(cropped['gt_bboxes']) == len(cropped['gt_masks']) == 0
    assert (cropped['gt_masks'].height, cropped['gt_masks'].width) == (3, 2)


def test_boxes_are_moved_clipped_and_dropped_with_their_labels_and_flags() -> None:
    around: list[Box] = [(0, 0, 4, 4), (3, 5, 9, 11), (6, 6, 20, 8), (0, 0, 30, 30)]
    boxes: list[Box] = [*around, (13, 0, 15, 30), (5, 0, 9, 3), (4, 5, 4, 9)]
    flags = np.array([False, True, False, True, False, False, False])
    ids = np.arange(10, 17)
    window = Window(top=4, left=4, height=8, width=9)
    expected: list[list[float]] = []
    kept = []
    for index, (x1, y1, x2, y2) in enumerate(boxes):
        new = [max(x1 - 4, 0), max(y1 - 4, 0), min(x2 - 4, 9), min(y2 - 4, 8)]
        if new[2] > new[0] and new[3] > new[1]:
            expected.append(new)
            kept.append(index)
    assert kept == [1, 2, 3]
    cropped = crop_at(window, scene(30, 30, boxes, gt_ignore_flags=flags, gt_instances_ids=ids))
    assert cropped['gt_bboxes'].tensor.tolist() == expected
    assert cropped['gt_bboxes_labels'].tolist() == kept
    assert cropped['gt_ignore_flags'].tolist() == [True, False, True]
    assert cropped['gt_instances_ids'].tolist() == [11, 12, 13]


def test_the_boxes_handed_in_stay_as_they_are() -> None:
    results = scene(30, 30, [(0, 0, 20, 20)])
    boxes = results['gt_bboxes']
    crop_at(Window(5, 5, 10, 10), results)
    assert boxes.tensor.tolist() == [[0, 0, 20, 20]]


def test_polygons_are_cut_and_boxes_drawn_around_what_is_left() -> None:
    """The triangle's box, cut, would be 5 wide and 10 high; what is left of the triangle is 5 by 5."""
    window = Window(top=0, left=5, height=12, width=12)
    masks = [
        [np.array([0.0, 0, 10, 0, 0, 10])],
        [rectangle(2, 1, 8, 4), rectangle(14, 2, 20, 6)],
        [rectangle(0, 0, 4, 4), rectangle(6, 6, 7, 7)],
        [rectangle(0, 0, 5, 4)],
        [rectangle(0, 0, 4, 4)],
    ]
    boxes: list[Box] = [(0, 0, 10, 10), (2, 1, 20, 6), (0, 0, 7, 7), (0, 0, 5, 4), (0, 0, 9, 9)]
    cropped = crop_at(window, scene(20, 20, boxes, gt_masks=PolygonMasks(masks, 20, 20)))
    # The fourth touches the crop with a side, the fifth is outside although its box is not.
    assert cropped['gt_bboxes_labels'].tolist() == [0, 1, 2]
    assert cropped['gt_bboxes'].tensor.tolist() == [[0, 0, 5, 5], [0, 1, 12, 6], [1, 6, 2, 7]]
    assert isinstance(cropped['gt_bboxes'], HorizontalBoxes)
    corners = [{tuple(p) for poly in polys for p in poly.reshape(-1, 2)} for polys in cropped['gt_masks'].masks]
    assert corners == [
        {(0, 0), (5, 0), (0, 5)},
        {(0, 1), (3, 1), (3, 4), (0, 4), (9, 2), (12, 2), (12, 6), (9, 6)},
        {(1, 6), (2, 6), (2, 7), (1, 7)},
    ]
    assert (cropped['gt_masks'].height, cropped['gt_masks'].width) == (12, 12)


@settings(max_examples=150, deadline=None)
@given(
    points=st.lists(st.tuples(*[st.integers(0, 200).map(lambda v: v / 10)] * 2), min_size=3, max_size=3, unique=True),
    corner=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    size=st.tuples(st.integers(1, 8), st.integers(1, 8)),
)
def test_triangles_are_cut_as_by_hand(
    points: list[tuple[float, float]], corner: tuple[int, int], size: tuple[int, int]
) -> None:
    window = Window(*corner, *size)
    xs, ys = zip(*points, strict=True)
    results = scene(20, 20, [(min(xs), min(ys), max(xs), max(ys))])
    results['gt_masks'] = PolygonMasks([[np.array(points).reshape(-1)]], 20, 20)
    cropped = crop_at(window, results)
    left = clipped(points, window)
    if area(left) < 1e-6:
        assert cropped['gt_masks'].areas.sum() < 1e-5
        return
    (box,) = cropped['gt_bboxes'].tensor.tolist()
    expected = [min(p[0] for p in left), min(p[1] for p in left), max(p[0] for p in left), max(p[1] for p in left)]
    assert box == pytest.approx(expected, abs=1e-4)
    assert cropped['gt_masks'].areas.tolist() == pytest.approx([area(left)], abs=1e-4)


def test_bitmaps_are_sliced_and_blank_ones_dropped() -> None:
    masks = np.zeros((3, 10, 12), dtype=np.uint8)
    masks[0, 2:9, 1:7] = 1
    masks[0, 8, 6] = 0
    masks[1, 0:2, 0:3] = 1
    masks[2, 5, 4:12] = 1
    boxes: list[Box] = [(1, 2, 7, 9), (0, 0, 9, 9), (4, 5, 12, 6)]
    window = Window(top=3, left=4, height=6, width=5)
    cropped = crop_at(window, scene(10, 12, boxes, gt_masks=BitmapMasks(masks, 10, 12)))
    assert cropped['gt_bboxes_labels'].tolist() == [0, 2]
    assert np.array_equal(cropped['gt_masks'].masks, masks[[0, 2], 3:9, 4:9])
    assert cropped['gt_bboxes'].tensor.tolist() == [[0, 0, 3, 6], [0, 2, 5, 3]]
    assert (cropped['gt_masks'].height, cropped['gt_masks'].width) == (6, 5)


def test_ignored_instances_keep_their_cut_box_although_their_mask_is_a_stand_in() -> None:
    masks = PolygonMasks([[np.zeros(6)], [np.zeros(6)], [rectangle(6, 6, 9, 9)]], 20, 20)
    flags = np.array([True, True, False])
    boxes: list[Box] = [(2, 2, 12, 30), (0, 0, 3, 3), (6, 6, 9, 9)]
    cropped = crop_at(Window(4, 4, 10, 10), scene(20, 20, boxes, gt_masks=masks, gt_ignore_flags=flags))
    assert cropped['gt_bboxes'].tensor.tolist() == [[0, 0, 8, 10], [2, 2, 5, 5]]
    assert cropped['gt_ignore_flags'].tolist() == [True, False]
    assert len(cropped['gt_masks']) == 2


def test_an_image_may_end_without_objects() -> None:
    masks = PolygonMasks([[rectangle(0, 0, 2, 2), rectangle(18, 18, 20, 20)]], 20, 20)
    cropped = crop_at(Window(5, 5, 8, 8), scene(20, 20, [(0, 0, 20, 20)], gt_masks=masks))
    assert cropped['gt_bboxes'].tensor.shape == (0, 4)
    assert len(cropped['gt_masks']) == len(cropped['gt_bboxes_labels']) == len(cropped['gt_ignore_flags']) == 0


def test_semantic_maps_shapes_and_the_homography_follow() -> None:
    semantic = np.arange(20 * 30, dtype=np.int32).reshape(20, 30)
    before = np.array([[2, 0, 7], [0, 3, 5], [0, 0, 1]], dtype=np.float32)
    window = Window(top=3, left=4, height=6, width=5)
    cropped = crop_at(window, scene(20, 30, gt_seg_map=semantic, homography_matrix=before))
    assert np.array_equal(cropped['gt_seg_map'], semantic[3:9, 4:9])
    assert cropped['img_shape'] == (6, 5)
    assert cropped['ori_shape'] == (20, 30)
    # The source's (10, 1) is at (27, 8) before the crop.
    assert (cropped['homography_matrix'] @ [10, 1, 1]).tolist() == [23, 5, 1]
    first = crop_at(window, scene(20, 30))['homography_matrix']
    assert (first @ [10, 9, 1]).tolist() == [6, 6, 1]


def test_boxes_still_fit_their_polygons_behind_resize_and_flip() -> None:
    """Why nothing has to compute them again at the end of the pipeline."""
    rng = np.random.RandomState(0)
    polygons = [[rng.uniform(0, 40, 10)] for _ in range(6)]
    boxes: list[Box] = [(*p[0].reshape(-1, 2).min(0), *p[0].reshape(-1, 2).max(0)) for p in polygons]
    results = scene(40, 40, boxes, gt_masks=PolygonMasks(polygons, 40, 40))
    results['img'] = results['img'].astype(np.uint8)
    with DefaultScope.overwrite_default_scope('mmdet'):
        later = [
            TRANSFORMS.build({'type': 'Resize', 'scale': (133, 57), 'keep_ratio': True}),
            TRANSFORMS.build({'type': 'RandomFlip', 'prob': 1.0}),
        ]
    results = crop_at(Window(5, 9, 30, 23), results)
    for transform in later:
        results = transform(results)
    assert len(results['gt_bboxes']) > 2
    for box, (polygon, *more) in zip(results['gt_bboxes'].tensor.tolist(), results['gt_masks'].masks, strict=True):
        points = np.concatenate([polygon, *more]).reshape(-1, 2)
        assert box == pytest.approx([*points.min(0), *points.max(0)], abs=1e-3)


def test_the_crop_follows_numpy_s_seed() -> None:
    results = scene(50, 60, [(10, 10, 20, 20), (30, 30, 50, 45)])
    transform = CropAroundInstance(crop_range=(0.3, 1.0))
    first, again, other = (draws(transform, results, 5, seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_a_pipeline_finds_it_by_name_and_packs_what_it_leaves() -> None:
    crowd = {'size': [20, 20], 'counts': [0, 200, 200]}
    results = scene(20, 20)
    results['img'] = results['img'].astype(np.uint8)
    results['instances'] = [
        {'bbox': [0, 0, 10, 20], 'bbox_label': 0, 'ignore_flag': 1, 'mask': crowd},
        {'bbox': [2, 2, 12, 8], 'bbox_label': 1, 'ignore_flag': 0, 'mask': [rectangle(2, 2, 12, 8).tolist()]},
    ]
    np.random.seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        for config in (
            {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True, 'poly2mask': False},
            {'type': 'resnest_mm.CropAroundInstance', 'crop_range': (0.6, 0.6)},
            {'type': 'PackDetInputs', 'meta_keys': ('img_shape',)},
        ):
            results = TRANSFORMS.build(config)(results)
    sample = results['data_samples']
    assert sample.img_shape == (12, 12)
    assert len(sample.ignored_instances) == len(sample.gt_instances) == 1
    box = sample.gt_instances.bboxes.tensor[0].tolist()
    polygon = sample.gt_instances.masks.masks[0][0].reshape(-1, 2)
    assert box == [*polygon.min(0), *polygon.max(0)]


@pytest.mark.parametrize('wrong', [0.9, '0.9', (0.9,), (0.9, 1.0, 1.0), ('0.9', 1.0), (True, 1.0), None])
def test_a_range_is_a_pair_of_numbers(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r'crop_range=.* must be a pair'):
        CropAroundInstance(crop_range=wrong)


@pytest.mark.parametrize('wrong', [(0.0, 1.0), (-0.1, 1.0), (0.9, 1.1), (1.0, 0.9), (384, 600), (float('nan'), 1.0)])
def test_a_range_rises_within_the_image(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r'crop_range=.* must rise within \(0, 1\]'):
        CropAroundInstance(crop_range=wrong)


def test_what_cannot_be_cropped_is_refused() -> None:
    with pytest.raises(ValueError, match=r'with_bbox=True'):
        CropAroundInstance()(scene(9, 9, gt_masks=PolygonMasks([], 9, 9)))
    with pytest.raises(ValueError, match='cannot crop proposals'):
        CropAroundInstance()(scene(9, 9, proposals=np.zeros((1, 4))))


def test_it_says_what_it_is() -> None:
    assert repr(CropAroundInstance()) == 'CropAroundInstance(crop_range=(0.9, 1.0))'
