"""What a segmentation config really makes of images: its loaders and pipelines run on a data set of two files."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import TRANSFORMS
from mmengine.runner import Runner
from numpy.typing import NDArray
from PIL import Image

from tests.support.recipes.segmentation_networks import name_of

ORIENTATION = 0x0112
"""The EXIF tag that asks a viewer to turn an image."""

BELOW_ONE = np.nextafter(1.0, 0.0)


def write_data(root: Path, cfg: Config) -> Path:
    """Write one image of 64x32 (width, height) to train and one to validate, where the data set looks for them."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    labels = np.zeros((32, 64), np.uint8)
    labels[:, 32:48], labels[:, 48:] = 1, 2
    tag = Image.Exif()
    tag[ORIENTATION] = 6
    for loader, stem in ((cfg.train_dataloader, 'a'), (cfg.val_dataloader, 'b')):
        for key, suffix, array in (('img_path', '.jpg', pixels), ('seg_map_path', '.png', labels)):
            file = root / loader.dataset.data_prefix[key] / f'{stem}{suffix}'
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(file, **(dict(exif=tag) if suffix == '.jpg' else {}))
        if 'ann_file' in loader.dataset:
            listing = root / loader.dataset.ann_file
            listing.parent.mkdir(parents=True, exist_ok=True)
            listing.write_text(f'{stem}\n')
    return root


def build_loader(cfg: Config, split: str, root: Path, *, tta: bool = False) -> Any:
    """Return the loader of a split as the Runner builds it, in this process and on the files under `root`."""
    settings = copy.deepcopy(cfg[f'{split}_dataloader'])
    settings.dataset.data_root = str(root)
    settings.update(num_workers=0, persistent_workers=False)
    if tta:
        settings.dataset.pipeline = copy.deepcopy(cfg.tta_pipeline)
    return Runner.build_dataloader(settings, seed=0)


def observe_data(cfg: Config, root: Path) -> Iterator[tuple[str, Any]]:
    """Yield what the data set and the loaders are."""
    train, test = build_loader(cfg, 'train', root), build_loader(cfg, 'test', root)
    classes = train.dataset.metainfo['classes']
    yield 'data set', name_of(train.dataset)
    yield (
        'data set: classes, of both classifiers',
        (len(classes), cfg.model.decode_head.num_classes, cfg.model.auxiliary_head.num_classes),
    )
    yield 'data set: first and last class', (classes[0], classes[-1])
    for what, dataset in (('training', train.dataset), ('validation', test.dataset)):
        assert len(dataset) == 1
        files = [dataset.get_data_info(0)[key] for key in ('img_path', 'seg_map_path')]
        yield f'data set: {what} files', tuple(str(Path(file).relative_to(root)) for file in files)
    folders = {cfg[f'{split}_dataloader'].dataset.data_root for split in ('train', 'val', 'test')}
    yield 'data set: folder', *folders
    assert cfg.val_dataloader == cfg.test_dataloader
    yield 'loader: images on each of 8 GPUs, in all', (train.batch_size, 8 * train.batch_size)
    yield 'loader: sampler, shuffles', (name_of(train.sampler), train.sampler.shuffle)
    yield 'test: batch size, sampler, shuffles', (test.batch_size, name_of(test.sampler), test.sampler.shuffle)
    yield from _observe_batch(cfg, train)
    yield 'test: image of 64x32 (width, height), its labels', _sizes(test.dataset[0])
    whole = build_loader(cfg, 'test', root, tta=True)
    yield 'evaluator: image of 64x32 (width, height), its labels', _sizes(whole.dataset[0])
    assert cfg.val_evaluator == cfg.test_evaluator
    (metric,) = Evaluator(copy.deepcopy(cfg.test_evaluator)).metrics
    yield 'test: metric', (name_of(metric), tuple(metric.metrics), metric.ignore_index)


def _sizes(sample: dict[str, Any]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return width and height of a packed image and of its labels."""
    image, labels = sample['inputs'], sample['data_samples'].gt_sem_seg.data
    return (image.shape[2], image.shape[1]), (labels.shape[2], labels.shape[1])


def _observe_batch(cfg: Config, loader: Any) -> Iterator[tuple[str, Any]]:
    """Take one batch, in which the smallest scale leaves a border, through the preprocessor of the model."""
    from mmseg.registry import MODELS

    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    with mock.patch('numpy.random.random_sample', return_value=0.0):
        batch = next(iter(loader))
    ready = preprocessor(batch, training=True)
    images, labels = ready['inputs'], ready['data_samples'][0].gt_sem_seg.data
    yield 'training: batch of images and labels', (tuple(images.shape), tuple(labels.shape))
    yield 'training: border after the normalisation, red to blue', _rounded(images[0, :, -1, -1])
    shades = torch.zeros(3, 1, 4, dtype=torch.uint8)
    shades[:, 0, 1] = 255
    shades[2, 0, 2] = 255  # pixels come as BGR
    preprocessor = MODELS.build({**cfg.model.data_preprocessor, 'size': None, 'size_divisor': 1})
    black, white, red, _ = preprocessor({'inputs': [shades], 'data_samples': None})['inputs'][0, :, 0].unbind(1)
    yield 'preprocessor: black pixel, red to blue', _rounded(black)
    yield 'preprocessor: white pixel, red to blue', _rounded(white)
    yield 'preprocessor: where a red pixel is high', int(red.argmax())


def _rounded(values: torch.Tensor) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)


def observe_pipelines(cfg: Config, root: Path) -> Iterator[tuple[str, Any]]:
    """Yield what the steps of the training pipeline do to an image, one by one."""
    steps = [TRANSFORMS.build(copy.deepcopy(step)) for step in cfg.train_dataloader.dataset.pipeline]
    yield 'training pipeline', tuple(name_of(step) for step in steps)
    by_name = {name_of(step): step for step in steps}
    yield from _observe_loading(by_name, build_loader(cfg, 'train', root).dataset.get_data_info(0))
    yield from _observe_flip(by_name['RandomFlip'])
    yield from _observe_resize(by_name['RandomResize'])
    yield from _observe_border(by_name['Pad'])
    yield from _observe_crop(by_name['RandomCrop'])
    resize = next(step for step in cfg.test_dataloader.dataset.pipeline if step.type == 'Resize')
    yield 'test: resizes the image as PIL does', _filter_of(TRANSFORMS.build(copy.deepcopy(resize)))[0]


def _observe_loading(steps: dict[str, Any], info: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    loaded = steps['LoadAnnotations'](steps['LoadImageFromFile'](copy.deepcopy(info)))
    stored = np.asarray(Image.open(info['img_path']).convert('RGB'))
    yield 'training: decodes as PIL, orientation tag ignored', np.array_equal(loaded['img'], stored[:, :, ::-1])
    labels = loaded['gt_seg_map'][0]
    yield 'training: label of 0, 1 and 2 in a file', tuple(int(labels[column]) for column in (0, 40, 60))


def _observe_flip(step: Any) -> Iterator[tuple[str, Any]]:
    np.random.seed(0)
    image = np.array([[0, 1], [2, 3]], np.uint8)
    outcomes = [step(_sample(image))['img'] for _ in range(2000)]
    mirrored = image[:, ::-1]
    flipped = [outcome for outcome in outcomes if not np.array_equal(outcome, image)]
    directions = {'left-right' if np.array_equal(outcome, mirrored) else 'another' for outcome in flipped}
    yield 'training: flips in 100, direction', (round(len(flipped) / 200) * 10, *directions)


def _observe_resize(step: Any) -> Iterator[tuple[str, Any]]:
    sizes: dict[str, tuple[tuple[int, int], ...]] = {}
    for name, shape in (('64x33', (33, 64)), ('33x64', (64, 33))):
        ends = []
        for draw in (0.0, BELOW_ONE):
            with mock.patch('numpy.random.random_sample', return_value=draw):
                ends.append(step(_sample(np.zeros(shape, np.uint8)))['img'].shape[1::-1])
        sizes[name] = tuple(ends)
        yield f'training: sizes of a {name} image at both ends (width, height)', sizes[name]
    np.random.seed(0)
    longest = [max(step(_sample(np.zeros((1, 2), np.uint8)))['img'].shape) for _ in range(150)]
    assert min(longest) < 300 and max(longest) > 1000 and 550 < np.median(longest) < 750, 'not spread evenly'
    ends = [max(size) for name in sizes for size in sizes[name]]
    yield 'training: smallest and largest long side', (min(ends), max(ends))
    image_filter, label_filter = _filter_of(step)
    yield 'training: resizes the image as PIL does', image_filter
    yield 'training: resizes the labels as PIL does', label_filter


def _filter_of(step: Any) -> tuple[str, str]:
    """Return which of PIL's filters makes exactly what a resize makes of an image and of labels."""
    generator = np.random.default_rng(1)
    image = generator.integers(0, 256, (700, 1100, 3), dtype=np.uint8)
    labels = generator.integers(0, 150, (700, 1100), dtype=np.uint8)
    with mock.patch('numpy.random.random_sample', return_value=0.3):
        out = step(_sample(image, labels))
    filters = Image.Resampling
    found = []
    for before, key in ((image, 'img'), (labels, 'gt_seg_map')):
        size = out['img'].shape[1::-1]
        same = [
            entry.name
            for entry in (filters.NEAREST, filters.BOX, filters.BILINEAR, filters.BICUBIC, filters.LANCZOS)
            if np.array_equal(np.asarray(Image.fromarray(before).resize(size, entry)), out[key])
        ]
        found.append(' or '.join(same))
    return found[0], found[1]


def _observe_border(step: Any) -> Iterator[tuple[str, Any]]:
    size = (100, 300)  # height, width
    out = step(_sample(np.full((*size, 3), 200, np.uint8), np.full(size, 7, np.uint8)))
    image, labels = out['img'], out['gt_seg_map']
    yield 'training: image of 300x100 (width, height) after the padding', image.shape[1::-1]
    assert (image[:100, :300] == 200).all() and (labels[:100, :300] == 7).all(), 'the border is not right and below'
    border = np.ones(labels.shape, bool)
    border[:100, :300] = False
    colours, ignored = np.unique(image[border], axis=0), np.unique(labels[border])
    assert len(colours) == len(ignored) == 1
    yield (
        'training: border to the right and below, image and label',
        (tuple(map(int, colours[0])), int(ignored[0])),
    )


def _observe_crop(step: Any) -> Iterator[tuple[str, Any]]:
    np.random.seed(0)
    height, width = 500, 490
    rows, columns = np.indices((height, width), np.uint16)
    one_class = np.zeros((height, width), np.uint8)
    corners, sizes = [], set()
    for _ in range(400):
        out = step(_sample(np.stack([rows, columns], 2), one_class))
        corners.append((int(out['img'][0, 0, 1]), int(out['img'][0, 0, 0])))
        sizes.add(out['img'].shape[1::-1])
    across, down = zip(*corners, strict=True)
    yield (
        'training: crops of a 490x500 image (width, height): corners, size',
        ((min(across), max(across)), (min(down), max(down)), *sizes),
    )
    with mock.patch('numpy.random.randint', side_effect=[3, 4] * 11) as draws:
        step(_sample(np.stack([rows, columns], 2), one_class))
    yield 'training: crops of one class are taken', draws.call_count == 2


def _sample(image: NDArray[Any], labels: NDArray[Any] | None = None) -> dict[str, Any]:
    labels = np.zeros(image.shape[:2], np.uint8) if labels is None else labels
    return {
        'img': image.copy(),
        'gt_seg_map': labels.copy(),
        'img_shape': image.shape[:2],
        'ori_shape': image.shape[:2],
        'seg_fields': ['gt_seg_map'],
    }
