"""The image of every pipeline step is the output of its transform, and the same seed gives the same images."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from mmengine.registry import DATASETS, DefaultScope

from resnest_mm.annotations.annotated_image import AnnotatedImage, ImageObjects
from resnest_mm.browse.pipeline_steps import PipelineStep, follow, load_sample
from resnest_mm.demo_data import CLASSES, DemoSettings, write_demo_data
from resnest_mm.errors import UserError

pytest.importorskip('mmdet', reason='runs the pipelines of mmdet')

SIZE = 64
INDEX = 1
Pipeline = Sequence[dict[str, Any]]

LOAD = {'type': 'LoadImageFromFile'}
ANNOTATIONS = {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True, 'poly2mask': False}
CROP = {'type': 'resnest_mm.CropAroundInstance', 'crop_range': (0.7, 0.8)}
FLIP = {'type': 'RandomFlip', 'prob': 1.0}
DOUBLE = {'type': 'Resize', 'scale': (2 * SIZE, 2 * SIZE), 'keep_ratio': True}
PACK = {'type': 'PackDetInputs'}


class Spy:
    """A wrapper that keeps the outputs of its data set."""

    def __init__(self, dataset: Any) -> None:
        self.dataset, self.returned = dataset, []

    def __getitem__(self, index: int) -> Any:
        self.returned.append(self.dataset[index])
        return self.returned[-1]


@pytest.fixture(scope='module')
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_data(tmp_path_factory.mktemp('demo') / 'data', settings=DemoSettings(images=4, size=SIZE))


@pytest.fixture
def build(demo: Path) -> Callable[..., Any]:
    def built(pipeline: Pipeline, **options: Any) -> Any:
        with DefaultScope.overwrite_default_scope('mmdet'):
            return DATASETS.build(dataset_cfg(demo, pipeline) | options)

    return built


def dataset_cfg(demo: Path, pipeline: Pipeline) -> dict[str, Any]:
    return {
        'type': 'CocoDataset',
        'data_root': str(demo),
        'ann_file': 'annotations/instances_train.json',
        'data_prefix': {'img': 'train/', 'seg': 'semantic/train/'},
        'metainfo': {'classes': CLASSES},
        'pipeline': list(pipeline),
    }


def annotated(demo: Path, index: int = INDEX) -> list[list[float]]:
    """Return the boxes in the file, as corners."""
    content = json.loads((demo / 'annotations' / 'instances_train.json').read_text())
    image = content['images'][index]['id']
    boxes = [item['bbox'] for item in content['annotations'] if item['image_id'] == image]
    return [[x, y, x + width, y + height] for x, y, width, height in boxes]


def look(dataset: Any, *, seed: int = 0, index: int = INDEX) -> tuple[AnnotatedImage, tuple[PipelineStep, ...]]:
    return load_sample(dataset, index, seed=seed, trace=follow(dataset, keep=True))


def found(shown: AnnotatedImage) -> ImageObjects:
    assert shown.objects is not None
    return shown.objects


def offset_of(crop: npt.NDArray[np.uint8], image: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Return x and y of a crop by trying all places."""
    height, width = crop.shape[:2]
    places = [
        (x, y)
        for y in range(image.shape[0] - height + 1)
        for x in range(image.shape[1] - width + 1)
        if np.array_equal(image[y : y + height, x : x + width], crop)
    ]
    assert len(places) == 1
    return places[0]


def test_every_step_has_the_output_of_its_transform(demo: Path, build: Callable[..., Any]) -> None:
    """Crop and flip are undone by hand: masks and boxes move with the image."""
    shown, steps = look(build([LOAD, ANNOTATIONS, CROP, FLIP, PACK]))
    expected = ['LoadImageFromFile', 'LoadAnnotations', 'CropAroundInstance', 'RandomFlip', 'PackDetInputs']
    assert [step.name for step in steps] == expected
    loaded, labelled, cropped, flipped, packed = (step.output for step in steps)
    assert loaded.objects is None
    np.testing.assert_allclose(found(labelled).corners, annotated(demo))

    x, y = offset_of(cropped.image, loaded.image)
    height, width = cropped.image.shape[:2]
    assert height < SIZE and width < SIZE
    limits = np.array([width, height] * 2)
    expected = np.clip(np.array(annotated(demo)) - np.array([x, y, x, y]), 0, limits)
    inside = (expected[:, 2:] > expected[:, :2]).all(axis=1)
    boxes = found(cropped).corners
    assert len(boxes) == inside.sum() and len(boxes) > 1
    # The box of a cropped outline may be smaller than the cropped box.
    assert (boxes >= expected[inside] - 1e-4)[:, :2].all() and (boxes <= expected[inside] + 1e-4)[:, 2:].all()
    untouched = (expected[inside] == (np.array(annotated(demo)) - np.array([x, y, x, y]))[inside]).all(axis=1)
    assert untouched.any()
    # The demo data's outlines lie an eighth of a pixel inside its boxes.
    np.testing.assert_allclose(boxes[untouched], expected[inside][untouched], atol=0.13)

    np.testing.assert_array_equal(flipped.image, cropped.image[:, ::-1])
    mirrored = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
    np.testing.assert_allclose(found(flipped).corners, mirrored, atol=1e-4)
    assert packed.shows_the_same_as(flipped) and shown.shows_the_same_as(flipped)
    assert not flipped.shows_the_same_as(cropped)


def test_the_last_step_has_the_output_of_the_data_set(build: Callable[..., Any]) -> None:
    """The image, boxes, labels and masks are exactly those that the model would get, with colours as RGB."""
    spy = Spy(build([LOAD, ANNOTATIONS, CROP, FLIP, PACK]))
    shown, _ = look(spy)
    (data,) = spy.returned
    truth = data['data_samples'].gt_instances
    np.testing.assert_array_equal(shown.image, data['inputs'].flip(0).permute(1, 2, 0).numpy())
    np.testing.assert_array_equal(found(shown).corners, truth.bboxes.tensor.numpy())
    np.testing.assert_array_equal(found(shown).labels, truth.labels.numpy())
    np.testing.assert_array_equal(found(shown).masks, truth.masks.to_ndarray().astype(bool))
    assert shown.name == '000001.jpg'


def test_the_seed_decides_and_the_generators_are_put_back(build: Callable[..., Any]) -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), np.random.rand(), float(torch.rand(()))

    def reset() -> None:
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)

    dataset = build([LOAD, ANNOTATIONS, CROP, PACK])
    reset()
    expected = draw()
    reset()
    one, _ = look(dataset, seed=0)
    assert draw() == expected
    two, _ = look(dataset, seed=0)
    assert one.shows_the_same_as(two)
    assert not one.shows_the_same_as(look(dataset, seed=1)[0])


def test_the_image_is_the_same_without_its_steps(build: Callable[..., Any]) -> None:
    """Recording the steps must not change their random numbers."""
    pipeline = [LOAD, ANNOTATIONS, CROP, FLIP, PACK]
    plain = build(pipeline)
    shown, steps = load_sample(plain, INDEX, seed=3, trace=follow(plain))
    assert steps == ()
    assert shown.shows_the_same_as(look(build(pipeline), seed=3)[0])


def test_annotations_loaded_after_the_resize_are_shown_in_the_image(demo: Path, build: Callable[..., Any]) -> None:
    """Test pipelines keep annotations in pixels of the original image, as the evaluation needs them."""
    after = look(build([LOAD, DOUBLE, ANNOTATIONS, PACK]))[0]
    before = look(build([LOAD, ANNOTATIONS, DOUBLE, PACK]))[0]
    np.testing.assert_allclose(found(after).corners, 2 * np.array(annotated(demo)))
    np.testing.assert_allclose(found(before).corners, 2 * np.array(annotated(demo)))


def test_boxes_and_a_label_map_together(demo: Path, build: Callable[..., Any]) -> None:
    """Panoptic training has both; the label map equals the file."""
    from PIL import Image

    shown, _ = look(build([LOAD, {**ANNOTATIONS, 'with_seg': True}, PACK]))
    assert shown.label_map is not None
    np.testing.assert_array_equal(shown.label_map, np.asarray(Image.open(demo / 'semantic' / 'train' / '000001.png')))
    np.testing.assert_allclose(found(shown).corners, annotated(demo))


def test_crowds_are_marked(demo: Path, tmp_path: Path, build: Callable[..., Any]) -> None:
    """mmdet packs ignored objects apart; both kinds are shown, each with its own box."""
    content = json.loads((demo / 'annotations' / 'instances_train.json').read_text())
    image = content['images'][INDEX]['id']
    next(item for item in content['annotations'] if item['image_id'] == image)['iscrowd'] = 1
    (tmp_path / 'crowd.json').write_text(json.dumps(content))
    boxes_only = {'type': 'LoadAnnotations', 'with_bbox': True}
    shown, steps = look(build([LOAD, boxes_only, PACK], ann_file=str(tmp_path / 'crowd.json')))
    first, *rest = annotated(demo)
    assert found(steps[1].output).ignored.tolist() == [True] + [False] * len(rest)
    assert found(shown).ignored.tolist() == [False] * len(rest) + [True]
    np.testing.assert_allclose(found(shown).corners, [*rest, first])


def test_wrappers_are_looked_through(demo: Path, build: Callable[..., Any]) -> None:
    plain = dataset_cfg(demo, [LOAD, ANNOTATIONS, PACK])
    repeated = {'type': 'RepeatDataset', 'times': 2, 'dataset': plain}
    with DefaultScope.overwrite_default_scope('mmdet'):
        wrapped = DATASETS.build({'type': 'ConcatDataset', 'datasets': [plain, repeated]})
    shown, steps = look(wrapped, index=4 + 4 + INDEX)
    assert [step.name for step in steps] == ['LoadImageFromFile', 'LoadAnnotations', 'PackDetInputs']
    np.testing.assert_allclose(found(shown).corners, annotated(demo))


def test_a_mixing_data_set_shows_the_steps_after_the_mix(demo: Path) -> None:
    """The pipeline of the mixing data set runs last, so its steps are recorded."""
    inner = dataset_cfg(demo, [LOAD, {'type': 'LoadAnnotations', 'with_bbox': True}])
    mosaic = {'type': 'Mosaic', 'img_scale': (SIZE, SIZE)}
    with DefaultScope.overwrite_default_scope('mmdet'):
        mixed = DATASETS.build({'type': 'MultiImageMixDataset', 'dataset': inner, 'pipeline': [mosaic, PACK]})
    shown, steps = look(mixed)
    assert [step.name for step in steps] == ['Mosaic', 'PackDetInputs']
    assert shown.image.shape == (2 * SIZE, 2 * SIZE, 3)


class Skipping:
    """A data set that takes the next image where a step returns None."""

    def __init__(self) -> None:
        self.pipeline = [self.load, self.choose]

    def load(self, index: int) -> dict[str, Any]:
        return {'img': np.full((2, 2, 3), index, dtype=np.uint8)}

    def choose(self, results: dict[str, Any]) -> dict[str, Any] | None:
        return results if results['img'][0, 0, 0] == 5 else None

    def __getitem__(self, index: int) -> Any:
        results = self.pipeline[1](self.pipeline[0](index))
        return results if results is not None else self[index + 1]


def test_steps_of_a_skipped_image_are_forgotten() -> None:
    dataset = Skipping()
    trace = follow(dataset, keep=True)
    with pytest.raises(UserError, match='ends with 2 choose and returns no packed image; end it with PackDetInputs'):
        load_sample(dataset, 3, seed=0, trace=trace)
    assert [(step.name, int(step.output.image[0, 0, 0])) for step in trace.steps] == [('load', 5), ('choose', 5)]


def test_a_step_that_fails_is_named(build: Callable[..., Any]) -> None:
    """The message names the failing step: here a crop that gets masks without boxes."""
    masks_only = {'type': 'LoadAnnotations', 'with_bbox': False, 'with_mask': True}
    with pytest.raises(UserError, match='image 1 of the data set: step 3 CropAroundInstance of its pipeline: ValueErr'):
        look(build([LOAD, masks_only, CROP, PACK]))
