"""The annotations of a scene agree with its image."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from resnest_mm.demo_data import CLASSES, DemoSettings, Scene, draw_scene
from resnest_mm.demo_data.placement import box_iou, tight_box
from resnest_mm.demo_data.polygons import trace_mask

SETTINGS = DemoSettings(images=1)


@pytest.fixture(scope='module')
def scenes() -> list[Scene]:
    return [draw_scene(SETTINGS, 'train', index) for index in range(60)]


def rasterised(polygons: list[list[float]], size: int) -> np.ndarray:
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, size, size))).astype(bool)


def test_boxes_are_tight_around_the_visible_masks(scenes: list[Scene]) -> None:
    """A box that is off by one pixel costs mAP at the high thresholds."""
    for instance in itertools.chain.from_iterable(scene.instances for scene in scenes):
        x, y, width, height = instance.box
        inside = instance.mask[y : y + height, x : x + width]
        assert inside.sum() == instance.mask.sum()
        assert all(line.any() for line in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_polygons_rasterise_to_the_visible_masks(scenes: list[Scene]) -> None:
    """Holes and hidden parts included: a ring must not become a disc."""
    for instance in itertools.chain.from_iterable(scene.instances for scene in scenes):
        mask = rasterised(instance.polygons, SETTINGS.size)
        assert (mask & instance.mask).sum() / (mask | instance.mask).sum() > 0.95


def test_semantic_map_is_the_union_of_the_instances(scenes: list[Scene]) -> None:
    """No pixel belongs to two objects, none is labelled without one."""
    for scene in scenes:
        expected = np.zeros_like(scene.semantic)
        for instance in scene.instances:
            assert not expected[instance.mask].any()
            expected[instance.mask] = instance.label
        np.testing.assert_array_equal(scene.semantic, expected)


def test_every_object_can_be_seen(scenes: list[Scene]) -> None:
    """No sliver of an object, and none in the colour of what is around it."""
    for scene in scenes:
        assert 1 <= len(scene.instances) <= 4
        for instance in scene.instances:
            assert instance.mask.sum() >= 80
            around = cv2.dilate(instance.mask.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & ~instance.mask
            contrast = np.linalg.norm(scene.image[instance.mask] - scene.image[around].mean(0), axis=1)
            assert np.median(contrast) > 40


def test_objects_overlap_but_mildly(scenes: list[Scene]) -> None:
    """Objects hide parts of each other, but no two boxes are nearly equal."""
    ious = [
        box_iou(first.box, second.box)
        for scene in scenes
        for first, second in itertools.combinations(scene.instances, 2)
    ]
    assert max(ious) <= 0.3
    assert sum(iou > 0.05 for iou in ious) >= 10


def test_every_class_is_drawn_about_equally_often(scenes: list[Scene]) -> None:
    """A class that hardly occurs would sink the mean AP."""
    labels = [instance.label for scene in scenes for instance in scene.instances]
    counts = np.bincount(labels, minlength=len(CLASSES) + 1)
    assert counts[0] == 0
    assert counts[1:].min() > 0.1 * counts.sum()


def test_colour_does_not_give_the_class_away() -> None:
    """A nearest-mean-colour classifier stays near chance (0.2), so a detector has to learn the shapes."""
    small = DemoSettings(images=1, size=64)
    colours, labels = [], []
    for index in range(200):
        scene = draw_scene(small, 'val', index)
        for instance in scene.instances:
            pixels = scene.image[instance.mask].astype(float)
            colours.append([*pixels.mean(0), *pixels.std(0)])
            labels.append(instance.label)
    features, classes = np.array(colours), np.array(labels)
    features = (features - features.mean(0)) / features.std(0)
    half = len(classes) // 2
    means = np.stack([features[:half][classes[:half] == label].mean(0) for label in range(1, len(CLASSES) + 1)])
    guess = np.linalg.norm(features[half:, None] - means, axis=2).argmin(1) + 1
    assert np.mean(guess == classes[half:]) < 0.35


def test_scene_depends_on_seed_split_and_index_alone() -> None:
    """Asking for more images must not change the first ones; everything else must."""
    base = draw_scene(DemoSettings(images=1), 'train', 3).image
    np.testing.assert_array_equal(draw_scene(DemoSettings(images=500), 'train', 3).image, base)
    for other in (
        draw_scene(DemoSettings(images=1, seed=1), 'train', 3),
        draw_scene(DemoSettings(images=1), 'val', 3),
        draw_scene(DemoSettings(images=1), 'train', 4),
    ):
        assert np.mean(other.image != base) > 0.5


@pytest.mark.parametrize('size', [64, 200])
def test_objects_grow_with_the_image(size: int) -> None:
    """Objects take 28 to 72 pixels of 128, whatever the image size."""
    for index in range(8):
        scene = draw_scene(DemoSettings(images=1, size=size), 'train', index)
        assert scene.image.shape == (size, size, 3)
        front = scene.instances[-1]
        assert 28 * size / 128 - 2 <= max(front.box[2:]) <= 72 * size / 128 + 2


def test_hole_and_loose_part_survive_tracing() -> None:
    """A frame, a nested block in its hole and a block beside it come back pixel by pixel."""
    mask = np.zeros((24, 24), bool)
    mask[2:18, 2:18] = True
    mask[5:15, 5:15] = False
    mask[8:11, 8:12] = True
    mask[20:23, 19:23] = True
    polygons = trace_mask(mask)
    assert len(polygons) == 3
    np.testing.assert_array_equal(rasterised(polygons, 24), mask)
    assert tight_box(mask) == (2, 2, 21, 21)


def test_box_iou_of_known_boxes() -> None:
    """Half of each of two equal boxes in common is a third of their union."""
    assert box_iou((0, 0, 4, 4), (2, 0, 4, 4)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 4, 4), (4, 4, 4, 4)) == 0


@pytest.mark.parametrize(('split', 'index', 'message'), [('test', 0, "split='test'"), ('val', -1, 'index=-1')])
def test_unknown_scenes_are_refused(split: str, index: int, message: str) -> None:
    """The message names the argument and its value."""
    with pytest.raises(ValueError, match=message):
        draw_scene(SETTINGS, split, index)
