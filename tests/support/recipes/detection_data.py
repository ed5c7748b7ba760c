"""What a detection config really makes of images: its loaders and pipelines run on a data set of six files."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tests.support.recipes.detection_heads import name_of
from tests.support.recipes.detection_panoptic import observe_stuff_data, write_panoptic
from tests.support.shipped_configs import many

ORIENTATION = 0x0112
"""The EXIF tag that asks a viewer to turn an image."""

FILES = {
    'wide.jpg': (64, 33),
    'tall.jpg': (33, 64),
    'empty.jpg': (64, 33),
    'crowd.jpg': (64, 33),
    'small.jpg': (20, 20),
    'line.jpg': (64, 33),
}
Range = tuple[int, int]


def write_data(root: Path, classes: tuple[str, ...], stuff: tuple[str, ...]) -> None:
    """Write six images to train and to validate, and what is in them, in the folders of COCO.

    The first image is stored lying on its side. One has no object, one only a crowd, one an
    object whose polygon has two points.
    """
    annotations = [
        _object(1, 'wide.jpg', [20, 8, 24, 16]),
        _object(2, 'wide.jpg', [40, 10, 8, 8], crowd=True),
        _object(3, 'tall.jpg', [8, 20, 16, 24]),
        _object(4, 'crowd.jpg', [20, 8, 24, 16], crowd=True),
        _object(5, 'small.jpg', [4, 4, 10, 10]),
        {**_object(6, 'line.jpg', [20, 8, 24, 16]), 'segmentation': [[20, 8, 44, 24]]},
    ]
    images = [
        {'id': index, 'file_name': name, 'width': width, 'height': height}
        for index, (name, (width, height)) in enumerate(FILES.items())
    ]
    categories = [{'id': index + 1, 'name': name} for index, name in enumerate(classes)]
    for split in ('train2017', 'val2017'):
        (root / split).mkdir(parents=True)
        (root / 'annotations').mkdir(exist_ok=True)
        whole = {'images': images, 'annotations': annotations, 'categories': categories}
        (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(whole))
        for name, (width, height) in FILES.items():
            pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
            tag = Image.Exif()
            if name == 'wide.jpg':
                pixels, tag[ORIENTATION] = np.rot90(pixels), 6
            Image.fromarray(pixels).save(root / split / name, exif=tag)
    write_panoptic(root, FILES, (*classes, *stuff))


def _object(index: int, name: str, box: list[int], *, crowd: bool = False) -> dict[str, Any]:
    x, y, width, height = box
    image = list(FILES).index(name)
    across, down = FILES[name]
    polygon = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    runs = {'size': [down, across], 'counts': [0, across * down]}
    return {
        'id': index,
        'image_id': image,
        'category_id': 1,
        'bbox': box,
        'area': width * height,
        'iscrowd': int(crowd),
        'segmentation': runs if crowd else polygon,
    }


def build_loader(cfg: Config, split: str, root: Path) -> Any:
    """Return the loader of a split as the Runner builds it, in this process and on the files under `root`."""
    settings = copy.deepcopy(cfg[f'{split}_dataloader'])
    settings.dataset.data_root = str(root)
    settings.update(num_workers=0, persistent_workers=False)
    return Runner.build_dataloader(settings, seed=0)


def observe_data(cfg: Config, root: Path) -> Iterator[tuple[str, Any]]:
    """Yield what the data set and the loaders are."""
    train, test = build_loader(cfg, 'train', root), build_loader(cfg, 'test', root)
    classes = train.dataset.metainfo['classes']
    yield 'data set', name_of(train.dataset)
    yield 'data set: classes, first, last', (len(classes), classes[0], classes[-1])
    folders = {cfg[f'{split}_dataloader'].dataset.data_root for split in ('train', 'val', 'test')}
    yield 'data set: folder', *folders
    for what, dataset in (('training', train.dataset), ('validation', test.dataset)):
        files = (dataset.ann_file, Path(dataset.get_data_info(0)['img_path']).parent)
        yield f'data set: {what} files', tuple(str(Path(file).relative_to(root)) for file in files)
    kept = {Path(train.dataset.get_data_info(index)['img_path']).name for index in range(len(train.dataset))}
    yield (
        'data set: images kept with objects, one of them small',
        tuple(sorted(kept - {'crowd.jpg', 'empty.jpg', 'line.jpg'})),
    )
    yield 'data set: images kept without anything', int('empty.jpg' in kept)
    yield 'data set: images kept with nothing but a crowd', int('crowd.jpg' in kept)
    yield 'data set: images kept with nothing but a polygon of two points', int('line.jpg' in kept)
    yield 'data set: images kept in the test', len(test.dataset)
    batches = train.batch_sampler
    yield 'loader: images on each of 8 GPUs, in all', (batches.batch_size, 8 * batches.batch_size)
    yield 'loader: sampler, shuffles', (name_of(batches.sampler), batches.sampler.shuffle)
    yield 'loader: batches', name_of(batches)
    yield 'test: images at once, sampler, shuffles', (test.batch_size, name_of(test.sampler), test.sampler.shuffle)
    yield from _observe_preprocessor(cfg)
    yield from _observe_training(train.dataset)
    yield from observe_stuff_data(cfg, train.dataset, test.dataset, root)
    yield from _observe_test(test.dataset)
    yield from _observe_views(cfg)
    assert cfg.val_dataloader == cfg.test_dataloader and cfg.val_evaluator == cfg.test_evaluator
    evaluator = copy.deepcopy(cfg.test_evaluator)
    for entry in many(evaluator):
        entry.ann_file = str(root / entry.ann_file.removeprefix(cfg.test_dataloader.dataset.data_root))
    metrics = [(metric, getattr(metric, 'metrics', None)) for metric in Evaluator(evaluator).metrics]
    yield 'test: metrics', tuple((name_of(metric), names and tuple(names)) for metric, names in metrics)


def _observe_preprocessor(cfg: Config) -> Iterator[tuple[str, Any]]:
    from mmdet.registry import MODELS

    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    shades = torch.zeros(3, 1, 4, dtype=torch.uint8)
    shades[:, 0, 1] = 255
    shades[2, 0, 2] = 255  # pixels come as BGR
    ready = preprocessor({'inputs': [shades], 'data_samples': None})['inputs']
    black, white, red = ready[0, :, 0, :3].unbind(1)
    yield 'preprocessor: black pixel, red to blue', _rounded(black)
    yield 'preprocessor: white pixel, red to blue', _rounded(white)
    yield 'preprocessor: where a red pixel is high', int(red.argmax())
    batch = preprocessor({'inputs': [torch.full((3, 33, 65), 200, dtype=torch.uint8)], 'data_samples': None})['inputs']
    border = torch.cat([batch[0, :, 33:].flatten(1), batch[0, :, :, 65:].flatten(1)], 1)
    assert (border == border[:, :1]).all() and (batch[0, :, :33, :65] != 0).all(), 'the border is not right and below'
    yield (
        'preprocessor: batch of an image of 33x65 (height, width), its border',
        (tuple(batch.shape), _rounded(border[:, 0])),
    )


def _rounded(values: torch.Tensor) -> tuple[float, ...]:
    return tuple(round(float(value), 5) for value in values)


def _observe_training(dataset: Any) -> Iterator[tuple[str, Any]]:
    steps = {name_of(step): step for step in dataset.pipeline.transforms}
    yield 'training: steps', tuple(steps)
    (wide,) = (index for index in range(len(dataset)) if dataset.get_data_info(index)['img_path'].endswith('wide.jpg'))
    np.random.seed(0)
    sample = dataset[wide]['data_samples']
    yield 'training: objects and crowds of an image', (len(sample.gt_instances), len(sample.ignored_instances))
    loaded = steps['LoadImageFromFile'](dataset.get_data_info(wide))
    yield 'training: decodes as PIL, turned by the orientation tag', _decodes_as_pil(loaded)
    masks = steps['LoadAnnotations'](loaded).get('gt_masks')
    yield 'training: masks', masks if masks is None else type(masks).__name__
    (resize,) = (step for name, step in steps.items() if name.endswith('Resize'))
    yield from _observe_resize(resize)
    yield from _observe_flip(steps['RandomFlip'])
    if 'resnest_mm.CropAroundInstance' in steps:
        yield from _observe_crop(steps['resnest_mm.CropAroundInstance'])


def _decodes_as_pil(loaded: dict[str, Any]) -> bool:
    stored = ImageOps.exif_transpose(Image.open(loaded['img_path'])).convert('RGB')
    return np.array_equal(loaded['img'], np.asarray(stored)[:, :, ::-1])


def _observe_resize(step: Any) -> Iterator[tuple[str, Any]]:
    drawn: list[Range] = []

    def first(limits: Range) -> int:
        drawn.append(limits)
        return limits[0]

    smallest = _resized(step, (33, 64), first)
    yield 'training: numbers drawn for a size', tuple(drawn)
    largest = _resized(step, (33, 64), max)
    yield 'training: sizes of 64x33 (width, height), first and last', (smallest, largest)
    picks: list[Callable[[Range], int]] = [min, max]
    if len(drawn) == 1:
        picks = [lambda _, choice=choice: choice for choice in range(drawn[0][1] + 1)]  # type: ignore[misc]
    squares = [_resized(step, (40, 40), pick) for pick in picks]
    assert all(width == height for width, height in squares)
    yield 'training: sizes of 40x40', tuple(width for width, _ in squares)
    yield 'training: resizes as PIL does', _filter_of(step)


def _resized(step: Any, shape: tuple[int, int], pick: Callable[[Range], int]) -> tuple[int, int]:
    """Return width and height of a resized image where `pick` draws from a first and a last integer."""

    def draw(low: int, high: int | None = None) -> int:
        return pick((0, low - 1) if high is None else (low, high - 1))

    with mock.patch('numpy.random.randint', side_effect=draw):
        height, width = step(_sample(np.zeros((*shape, 3), np.uint8)))['img'].shape[:2]
    return width, height


def _filter_of(step: Any) -> str:
    """Return which of PIL's filters makes exactly what a resize makes of an image that it shrinks."""
    image = np.random.default_rng(1).integers(0, 256, (1500, 1700, 3), dtype=np.uint8)
    out = step(_sample(image))['img']
    filters = Image.Resampling
    same = [
        entry.name
        for entry in (filters.NEAREST, filters.BOX, filters.BILINEAR, filters.BICUBIC, filters.LANCZOS)
        if np.array_equal(np.asarray(Image.fromarray(image).resize(out.shape[1::-1], entry)), out)
    ]
    return ' or '.join(same)


def _observe_flip(step: Any) -> Iterator[tuple[str, Any]]:
    np.random.seed(0)
    image = np.arange(60, dtype=np.uint8).reshape(2, 10, 3)
    flipped, boxes = 0, set()
    for _ in range(1000):
        out = step(_sample(image, box=(1, 2, 4, 5)))
        if np.array_equal(out['img'], image):
            continue
        assert np.array_equal(out['img'], image[:, ::-1])
        flipped += 1
        boxes.add(tuple(map(float, out['gt_bboxes'].tensor[0])))
    yield (
        'training: flips in 100, box (1, 2, 4, 5) of a flipped image of 10 pixels',
        (round(flipped / 100) * 10, *boxes),
    )


def _observe_crop(step: Any) -> Iterator[tuple[str, Any]]:
    np.random.seed(0)
    rows, columns = np.indices((100, 200), np.uint8)
    pixels = np.stack([rows, columns, rows], 2)
    widths, heights, without = set(), set(), 0
    for _ in range(400):
        out = step(_sample(pixels, box=(150, 40, 190, 90)))['img']
        top, left = int(out[0, 0, 0]), int(out[0, 0, 1])
        height, width = out.shape[:2]
        heights.add(height)
        widths.add(width)
        without += not (left <= 170 <= left + width and top <= 65 <= top + height)
    yield (
        'training: crops of 200x100 (width, height): widths, heights',
        ((min(widths), max(widths)), (min(heights), max(heights))),
    )
    yield 'training: crops without the centre of the only object', without


def _observe_test(dataset: Any) -> Iterator[tuple[str, Any]]:
    steps = {name_of(step): step for step in dataset.pipeline.transforms}
    loaded = steps['LoadImageFromFile'](dataset.get_data_info(0))
    yield 'test: decodes as PIL, turned by the orientation tag', _decodes_as_pil(loaded)
    sizes = []
    for shape in ((33, 64), (40, 40)):
        height, width = steps['Resize'](_sample(np.zeros((*shape, 3), np.uint8)))['img'].shape[:2]
        sizes.append((width, height))
    yield 'test: size of 64x33 and of 40x40 (width, height)', tuple(sizes)
    yield 'test: resizes as PIL does', _filter_of(steps['Resize'])


def _observe_views(cfg: Config) -> Iterator[tuple[str, Any]]:
    from mmdet.registry import TRANSFORMS

    from resnest_mm.detection.test_time.mask_tta import DetMaskTTAModel
    from tests.support.tta_models import PaintDetector

    *_, augment = (TRANSFORMS.build(step) for step in copy.deepcopy(cfg.tta_pipeline))
    views, longest = [], set()
    for subroutine in augment.subroutines:
        steps = {name_of(step): step for step in subroutine.transforms}
        long_side, short_side = steps['Resize'].scale
        views.append((short_side, bool(steps['RandomFlip'].prob)))
        longest.add(long_side)
    yield (
        'several scales: short sides and whether they are flipped, in their order; longest side',
        (tuple(views), *longest),
    )
    settings = copy.deepcopy(cfg.tta_model)
    assert settings.pop('type') == 'resnest_mm.DetMaskTTAModel'
    model = DetMaskTTAModel(module=PaintDetector(), **settings)
    yield 'several scales: views of an image in one batch', model.batch_size
    yield (
        'several scales: least score, overlap of NMS, boxes',
        (model.score_thr, model.nms['iou_threshold'], model.max_per_img),
    )


def _sample(image: NDArray[Any], *, box: tuple[int, int, int, int] | None = None) -> dict[str, Any]:
    from mmdet.structures.bbox import HorizontalBoxes

    sample: dict[str, Any] = {'img': image.copy(), 'img_shape': image.shape[:2], 'ori_shape': image.shape[:2]}
    if box is not None:
        sample['gt_bboxes'] = HorizontalBoxes(torch.tensor([box], dtype=torch.float32))
        sample['gt_bboxes_labels'] = np.zeros(1, np.int64)
        sample['gt_ignore_flags'] = np.zeros(1, bool)
    return sample
