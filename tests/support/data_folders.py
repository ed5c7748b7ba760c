"""Small folders of COCO and Pascal VOC data with a config for them, to damage in one place and look at the outcome."""

from __future__ import annotations

import copy
import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config

from resnest_mm.paths import config_path
from resnest_mm.training.config.data_root import move_data_root

CLASSES = ('disc', 'triangle', 'square')
SIZE = (64, 48)  # pixels, width and height
IMAGES = 4
SPLITS = ('train', 'val', 'test')

XML = """\
<annotation>
  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>
{objects}
</annotation>
"""
OBJECT = """\
  <object><name>{name}</name><difficult>0</difficult>
    <bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"""


@dataclass
class DataFolder:
    """A folder of data and the config that reads it; change any of them, then `write` and use `cfg`.

    Args:
        root: The folder.
        cfg: A detector's config.
        files: Content of each annotation file by its path below the folder: what JSON holds, a text, or bytes.
        pictures: Size of each image by its path below the folder; None leaves the file out.
    """

    root: Path
    cfg: Config
    files: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, tuple[int, int] | None] = field(default_factory=dict)

    def write(self) -> None:
        """Write all files; files that are there keep what `pictures` and `files` do not name."""
        for name, size in self.pictures.items():
            if size is not None:
                path = self.root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                shade = np.random.default_rng(len(name)).integers(0, 255, (size[1], size[0], 3), np.uint8)
                cv2.imwrite(str(path), shade)
        for name, content in self.files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content if isinstance(content, str) else json.dumps(content), encoding='utf-8')

    def each_dataset(self) -> list[Any]:
        """Return the config of the data set of every split."""
        return [self.cfg[f'{split}_dataloader']['dataset'] for split in SPLITS]


def coco_folder(root: Path) -> DataFolder:
    """Return a folder with `train.json`, `val.json`, `test.json` and the images of each in a folder of its name."""
    cfg = _config('detection/faster-rcnn_s14_fpn_bccd', root)
    folder = DataFolder(root, cfg)
    for split in SPLITS:
        loader = cfg[f'{split}_dataloader']
        loader['dataset'] = {
            'type': 'CocoDataset',
            'data_root': str(root),
            'ann_file': f'{split}.json',
            'data_prefix': {'img': f'{split}/'},
            'metainfo': {'classes': CLASSES},
            'test_mode': split != 'train',
            'filter_cfg': {'filter_empty_gt': True} if split == 'train' else None,
            'pipeline': loader['dataset']['pipeline'],
        }
        if split != 'train':
            metric = {'type': 'CocoMetric', 'ann_file': str(root / f'{split}.json'), 'metric': 'bbox'}
            cfg[f'{split}_evaluator'] = metric
        images, annotations = [], []
        for index in range(IMAGES):
            name = f'{split}_{index:03}.jpg'
            images.append({'id': index + 1, 'file_name': name, 'width': SIZE[0], 'height': SIZE[1]})
            folder.pictures[f'{split}/{name}'] = SIZE
            for label in range(len(CLASSES)):
                box = corners(index, label)
                x, y, right, bottom = box
                annotations.append(
                    {
                        'id': len(annotations) + 1,
                        'image_id': index + 1,
                        'category_id': label + 1,
                        'bbox': [x, y, right - x, bottom - y],
                        'area': (right - x) * (bottom - y),
                        'segmentation': [[x, y, right, y, right, bottom, x, bottom]],
                        'iscrowd': 0,
                    }
                )
        categories = [{'id': label + 1, 'name': name} for label, name in enumerate(CLASSES)]
        folder.files[f'{split}.json'] = {'images': images, 'annotations': annotations, 'categories': categories}
    return folder


def voc_folder(root: Path) -> DataFolder:
    """Return a folder as Pascal VOC lays it out."""
    cfg = _config('detection/faster-rcnn_s14_fpn_bccd', root)
    folder = DataFolder(root, cfg)
    for dataset in folder.each_dataset():
        dataset['metainfo'] = {'classes': CLASSES}
    for split in SPLITS:
        names = [f'{split}_{index:03}' for index in range(IMAGES)]
        folder.files[f'ImageSets/Main/{split}.txt'] = '\n'.join(names) + '\n'
        for index, name in enumerate(names):
            folder.pictures[f'JPEGImages/{name}.jpg'] = SIZE
            folder.files[f'Annotations/{name}.xml'] = xml(index)
    return folder


def xml(index: int, **changes: Any) -> str:
    """Return the annotations of an image as VOC writes them, which counts from 1.

    Args:
        index: Number of the image.
        changes: Other `name` or `box` of its first object, other `width` or `height` of the image.
    """
    objects = []
    for label, name in enumerate(CLASSES):
        box = [side + 1 for side in corners(index, label)]
        first = label == 0
        objects.append(
            OBJECT.format(
                *(changes.get('box', box) if first else box), name=changes.get('name', name) if first else name
            )
        )
    width, height = changes.get('width', SIZE[0]), changes.get('height', SIZE[1])
    return XML.format(width=width, height=height, objects='\n'.join(objects))


def corners(index: int, label: int) -> list[int]:
    """Return the box of an object as x1, y1, x2, y2, counted from 0."""
    x, y = 4 + 14 * label + index, 5 + 3 * label + index
    return [x, y, x + 12, y + 10]


@functools.cache
def _parsed(name: str) -> Config:
    return Config.fromfile(config_path(name))


def _config(name: str, root: Path) -> Config:
    cfg = copy.deepcopy(_parsed(name))
    cfg = move_data_root(cfg, cfg.data_root, str(root))
    for split in SPLITS:
        cfg[f'{split}_dataloader'].update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    return cfg
