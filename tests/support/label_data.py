"""A data set of label maps of a few pixels and its config, whole at first and then damaged by a test."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray
from PIL import Image

from tests.support.slide_fakes import tiny_segmentor

CLASSES = ('road', 'sky', 'tree')
SIZE = (24, 16)
"""Width and height of every image, in pixels."""
NUMBERS = {'train': 6, 'val': 3}


class LabelData:
    """A folder with `images/SPLIT/N.png` and `labels/SPLIT/N.png`, and a config of mmseg that trains on it.

    Each map holds every class and one ignored pixel.

    Args:
        root: The folder to write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        rng = np.random.default_rng(0)
        for split, number in NUMBERS.items():
            for kind in ('images', 'labels'):
                (root / kind / split).mkdir(parents=True)
            for index in range(number):
                pixels = rng.integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
                Image.fromarray(pixels).save(self.image(split, index))
                self.write(self.labels(rng), split, index)

    def labels(self, rng: np.random.Generator | None = None) -> NDArray[np.uint8]:
        """Return labels in which every class and an ignored pixel stand."""
        found = (rng or np.random.default_rng(1)).integers(0, len(CLASSES), (SIZE[1], SIZE[0]), np.uint8)
        found[0, :4] = 0, 1, 2, 255
        return found

    def image(self, split: str = 'train', index: int = 0) -> Path:
        """Return the path of an image."""
        return self.root / 'images' / split / f'{index}.png'

    def map(self, split: str = 'train', index: int = 0) -> Path:
        """Return the path of a label map."""
        return self.root / 'labels' / split / f'{index}.png'

    def maps(self) -> list[Path]:
        """Return the paths of all label maps."""
        return sorted((self.root / 'labels').rglob('*.png'))

    def write(self, labels: NDArray[Any], split: str = 'train', index: int = 0) -> None:
        """Write a label map."""
        Image.fromarray(labels).save(self.map(split, index))

    def change(self, values: dict[int, int]) -> None:
        """Replace values in all maps."""
        for path in self.maps():
            old = np.array(Image.open(path))
            new = old.copy()
            for value, other in values.items():
                new[old == value] = other
            Image.fromarray(new).save(path)

    def config(self, *, train: dict[str, Any] | None = None, both: dict[str, Any] | None = None) -> Config:
        """Return the config.

        Args:
            train: Entries of the training data set.
            both: Entries of both data sets.
        """
        load = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}]
        loaders = {}
        for split, more in (('train', train or {}), ('val', {})):
            data_set = {
                'type': 'BaseSegDataset',
                'data_root': str(self.root),
                'data_prefix': {'img_path': f'images/{split}', 'seg_map_path': f'labels/{split}'},
                'img_suffix': '.png',
                'metainfo': {'classes': CLASSES},
                'pipeline': [*load, {'type': 'PackSegInputs'}],
                'test_mode': split != 'train',
                **(both or {}),
                **more,
            }
            loaders[f'{split}_dataloader'] = {
                'batch_size': 2,
                'num_workers': 0,
                'sampler': {'type': 'DefaultSampler', 'shuffle': False},
                'dataset': data_set,
            }
        metric = {'type': 'IoUMetric', 'iou_metrics': ['mIoU']}
        return Config(
            copy.deepcopy(
                {
                    'default_scope': 'mmseg',
                    'model': tiny_segmentor(size=16, num_classes=len(CLASSES)),
                    **loaders,
                    'test_dataloader': loaders['val_dataloader'],
                    'val_evaluator': metric,
                    'test_evaluator': metric,
                    'train_cfg': {'type': 'IterBasedTrainLoop', 'max_iters': 1, 'val_interval': 1},
                    'val_cfg': {'type': 'ValLoop'},
                    'test_cfg': {'type': 'TestLoop'},
                    'optim_wrapper': {'type': 'OptimWrapper', 'optimizer': {'type': 'SGD', 'lr': 0.01}},
                }
            )
        )
