"""Ways to damage a folder of `data_folders`, each with what the data check must say about it.

A row is (name, what it does to the folder before it is written, `error` or `warning`, a part of the finding). What can
only be done to written files is in AFTER, as a function of the folder and the path of one image.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from tests.support.data_folders import CLASSES, IMAGES, SIZE, SPLITS, DataFolder, corners, xml

Damage = Callable[[DataFolder], None]
Row = tuple[str, Damage, str, str]
DELETE = object()


def field(listed: str, name: str, value: Any, *, split: str = 'train', row: int = 0) -> Damage:
    """Replace, or delete, one field of one entry of a COCO file."""

    def damage(folder: DataFolder) -> None:
        entry = folder.files[f'{split}.json'][listed][row]
        if value is DELETE:
            del entry[name]
        else:
            entry[name] = value

    return damage


def every(listed: str, change: Callable[[dict[str, Any], int], None], *, split: str = 'train') -> Damage:
    """Change all entries of a list of a COCO file."""

    def damage(folder: DataFolder) -> None:
        for number, entry in enumerate(folder.files[f'{split}.json'][listed]):
            change(entry, number)

    return damage


def raw(change: Callable[[str], str | bytes], *, split: str = 'train') -> Damage:
    """Change the text of a COCO file."""

    def damage(folder: DataFolder) -> None:
        folder.files[f'{split}.json'] = change(json.dumps(folder.files[f'{split}.json']))

    return damage


def content(change: Callable[[dict[str, Any]], Any], *, split: str = 'train') -> Damage:
    """Change what a COCO file holds; a result other than None replaces it."""

    def damage(folder: DataFolder) -> None:
        changed = change(folder.files[f'{split}.json'])
        if changed is not None:
            folder.files[f'{split}.json'] = changed

    return damage


def classes(names: Any) -> Damage:
    """Give all data sets other classes."""

    def damage(folder: DataFolder) -> None:
        for dataset in folder.each_dataset():
            dataset['metainfo'] = {'classes': names}

    return damage


def config(change: Callable[[Any], None]) -> Damage:
    """Change the config."""
    return lambda folder: change(folder.cfg)


def several(*damages: Damage) -> Damage:
    """Do one damage after the other."""

    def damage(folder: DataFolder) -> None:
        for one in damages:
            one(folder)

    return damage


def masks(damage: Damage) -> Damage:
    """Let the pipeline load masks as well."""

    def both(folder: DataFolder) -> None:
        for step in folder.cfg.train_dataloader.dataset.pipeline:
            if step['type'] == 'LoadAnnotations':
                step['with_mask'] = True
        damage(folder)

    return both


def _cut(share: float) -> Callable[[str], str]:
    return lambda text: text[: int(len(text) * share)]


def _set_box(box: Callable[[list[float]], Any]) -> Callable[[dict[str, Any], int], None]:
    def change(entry: dict[str, Any], number: int) -> None:
        entry['bbox'] = box(entry['bbox'])

    return change


def _clear(listed: str) -> Callable[[dict[str, Any]], None]:
    return lambda loaded: loaded[listed].clear()


def _append(listed: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda loaded: loaded[listed].append(value)


def _rename(names: list[str]) -> Callable[[dict[str, Any]], None]:
    return lambda loaded: loaded.update(categories=[{'id': n + 1, 'name': name} for n, name in enumerate(names)])


def _head(count: int) -> Callable[[Any], None]:
    return lambda cfg: cfg.model.roi_head.bbox_head.update(num_classes=count)


def _evaluator(file: str) -> Damage:
    return lambda folder: folder.cfg.val_evaluator.update(ann_file=str(folder.root / file))


def _same_images(folder: DataFolder) -> None:
    folder.files['test.json'].update(images=folder.files['val.json']['images'])


def _number_images_on(loaded: dict[str, Any]) -> None:
    for entry in loaded['images']:
        entry['id'] += 100
    for entry in loaded['annotations']:
        entry['image_id'] += 100


def _all_files() -> list[Row]:
    rows: list[Row] = []
    for split in ('train', 'val'):
        rows += [
            (f'{split}: empty file', raw(lambda text: '', split=split), 'error', 'is empty'),
            (f'{split}: blank file', raw(lambda text: ' \n', split=split), 'error', 'is no JSON'),
            (f'{split}: no JSON', raw(lambda text: 'hello', split=split), 'error', 'is no JSON'),
            (f'{split}: a list', raw(lambda text: f'[{text}]', split=split), 'error', 'holds a list'),
            (f'{split}: a number', raw(lambda text: '3', split=split), 'error', 'holds a int'),
            (f'{split}: null', raw(lambda text: 'null', split=split), 'error', 'holds a NoneType'),
            (f'{split}: UTF-16', raw(lambda text: text.encode('utf-16'), split=split), 'error', 'is not UTF-8'),
            (f'{split}: a BOM', raw(lambda text: text.encode('utf-8-sig'), split=split), 'error', 'BOM'),
            (f'{split}: latin-1', raw(lambda text: b'{"\xe4": ' + text.encode(), split=split), 'error', 'not UTF-8'),
            (f'{split}: zeros', raw(lambda text: b'\0' * 100, split=split), 'error', 'is no JSON'),
            (f'{split}: nested deeply', raw(lambda text: '[' * 200_000, split=split), 'error', 'nested too deeply'),
        ]
        rows += [
            (f'{split}: cut at {share}', raw(_cut(share), split=split), 'error', 'is no JSON')
            for share in (0.01, 0.3, 0.6, 0.9, 0.999)
        ]
        for listed in ('images', 'categories'):
            rows += [
                (
                    f'{split}: no {listed}',
                    content(lambda c, n=listed: c.pop(n) and None, split=split),
                    'error',
                    f'has no {listed}',
                ),
                (
                    f'{split}: {listed} is a mapping',
                    content(lambda c, n=listed: c.update({n: {}}), split=split),
                    'error',
                    f'{listed} of',
                ),
                (
                    f'{split}: {listed} is empty',
                    content(_clear(listed), split=split),
                    'error',
                    f'list of {listed} is empty',
                ),
                (
                    f'{split}: a text in {listed}',
                    content(_append(listed, 'x'), split=split),
                    'error',
                    f'entries of {listed} are no objects',
                ),
            ]
        rows += [
            (
                f'{split}: annotations are a text',
                content(lambda c: c.update(annotations='x'), split=split),
                'error',
                'annotations of',
            ),
            (
                f'{split}: null in annotations',
                content(_append('annotations', None), split=split),
                'error',
                'entries of annotations',
            ),
            (
                f'{split}: no annotations',
                content(lambda c: c.pop('annotations') and None, split=split),
                'error',
                'no annotation',
            ),
            (f'{split}: annotations are empty', content(_clear('annotations'), split=split), 'error', 'no annotation'),
        ]
    return rows


def _fields() -> list[Row]:
    rows: list[Row] = []
    rows += [
        (f'image without {name}', field('images', name, DELETE), 'error', f'no {name} in')
        for name in ('id', 'file_name', 'width', 'height')
    ]
    rows += [
        (f'image with {name}={value!r}', field('images', name, value), 'error', f'{name}={value!r}')
        for name, value in [
            *[('id', None), ('id', [1]), ('file_name', 7), ('file_name', None), ('file_name', ' ')],
            *[('width', '64'), ('width', None), ('height', True), ('height', [48])],
        ]
    ]
    rows += [
        (f'image with {name}={value}', field('images', name, value), 'error', 'no width or no height')
        for name, value in (('width', 0), ('height', -48), ('height', math.inf), ('width', math.nan))
    ]
    rows += [
        (f'annotation without {name}', field('annotations', name, DELETE), 'error', f'annotations have no {name}')
        for name in ('id', 'image_id', 'category_id', 'bbox', 'area')
    ]
    rows += [
        (
            'scored annotation without iscrowd',
            field('annotations', 'iscrowd', DELETE, split='val'),
            'error',
            'no iscrowd',
        ),
        ('iscrowd is 2', field('annotations', 'iscrowd', 2), 'error', 'another iscrowd than 0 and 1'),
        ('iscrowd is a text', field('annotations', 'iscrowd', 'no'), 'error', "iscrowd='no'"),
        ('area is a text', field('annotations', 'area', '12'), 'error', "area='12'"),
        ('area is null', field('annotations', 'area', None), 'error', 'area=None'),
        ('area is 0', field('annotations', 'area', 0), 'warning', 'area of 0 or less'),
        ('all areas are 0', every('annotations', lambda e, n: e.update(area=0)), 'error', 'area of 0 or less'),
        ('image_id of no image', field('annotations', 'image_id', 99), 'error', 'image that is not in the file'),
        ('image_id is a text', field('annotations', 'image_id', '1'), 'error', "image_id='1'"),
        ('image_id is a list', field('annotations', 'image_id', [1]), 'error', 'image_id=[1]'),
        ('category of no class', field('annotations', 'category_id', 99), 'error', 'category that is not in the file'),
        (
            'category from 0',
            every('annotations', lambda e, n: e.update(category_id=e['category_id'] - 1)),
            'error',
            'category_id=0',
        ),
        ('category is a text', field('annotations', 'category_id', 'disc'), 'error', "category_id='disc'"),
        ('annotation id is a list', field('annotations', 'id', []), 'error', 'ids are no numbers'),
        ('annotation id twice', field('annotations', 'id', 2), 'error', 'annotation ids stand there several times'),
        ('image id twice', field('images', 'id', 2), 'error', 'image ids stand there twice'),
        ('image file twice', field('images', 'file_name', 'train_001.jpg'), 'warning', 'stand there under several ids'),
        ('category without a name', field('categories', 'name', DELETE), 'error', 'lack an id or a name'),
        ('category without an id', field('categories', 'id', DELETE), 'error', 'lack an id or a name'),
        ('category name is empty', field('categories', 'name', ''), 'error', 'lack an id or a name'),
        ('category name is a number', field('categories', 'name', 3), 'error', 'lack an id or a name'),
        ('category id twice', field('categories', 'id', 2), 'error', 'category ids stand there twice'),
        ('category name twice', field('categories', 'name', 'square'), 'error', 'category names stand there twice'),
        ('all are crowds', every('annotations', lambda e, n: e.update(iscrowd=1)), 'error', 'annotations are crowds'),
        ('most are crowds', every('annotations', lambda e, n: e.update(iscrowd=int(n > 2))), 'warning', 'are crowds'),
        (
            'no annotation of a class',
            every('annotations', lambda e, n: e.update(category_id=1)),
            'warning',
            'no annotation to learn from',
        ),
    ]
    return rows


def _boxes() -> list[Row]:
    width, height = SIZE
    rows: list[Row] = [
        (f'box {value!r}', field('annotations', 'bbox', value), 'error', 'no list of four numbers')
        for value in (
            None,
            [],
            [1, 2, 3],
            [1, 2, 3, 4, 5],
            '1 2 3 4',
            ['1', '2', '3', '4'],
            [1, 2, None, 4],
            {'x': 1},
            5,
        )
    ]
    rows += [
        (f'box with {value}', field('annotations', 'bbox', [3, 4, value, 5]), 'error', 'is not finite')
        for value in (math.nan, math.inf, -math.inf)
    ]
    rows += [
        (
            'box with a huge number',
            field('annotations', 'bbox', [3, 4, 10**400, 5]),
            'error',
            'no list of four numbers',
        ),
        ('box of absurd height', field('annotations', 'bbox', [30, 4, 9, 1e300]), 'error', 'beyond 10 million'),
        ('box of negative width', field('annotations', 'bbox', [30, 4, -9, 5]), 'error', 'negative width or height'),
        ('box of negative height', field('annotations', 'bbox', [30, 40, 9, -5]), 'error', 'negative width or height'),
        ('box without width', field('annotations', 'bbox', [30, 4, 0, 5]), 'warning', 'have no area'),
        ('boxes without height', every('annotations', _set_box(lambda b: [*b[:3], 0])), 'error', 'have no area'),
        (
            'box right of the image',
            field('annotations', 'bbox', [width + 9, 4, 5, 5]),
            'error',
            'outside of their image',
        ),
        ('box above the image', field('annotations', 'bbox', [4, -30, 5, 5]), 'error', 'outside of their image'),
        ('box over the edge', field('annotations', 'bbox', [4, 4, width, 5]), 'warning', 'leave their image'),
        (
            'boxes over the edge',
            every('annotations', _set_box(lambda b: [b[0] * 1.0, b[1], width, height])),
            'error',
            'leave their image',
        ),
        (
            'boxes in 0..1',
            every('annotations', _set_box(lambda b: [b[0] / width, b[1] / height, b[2] / width, b[3] / height])),
            'error',
            'lie in 0..1',
        ),
        (
            'boxes as corners',
            every('annotations', _set_box(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]])),
            'error',
            'look like [x1, y1, x2, y2]',
        ),
        (
            'boxes of another scale',
            every('annotations', _set_box(lambda b: [4 * side for side in b])),
            'error',
            'their image',
        ),
        (
            'boxes in 0..1 for validation',
            every('annotations', _set_box(lambda b: [side / 99 for side in b]), split='val'),
            'error',
            'lie in 0..1',
        ),
    ]
    return rows


def _masks() -> list[Row]:
    code = {'size': [SIZE[1], SIZE[0]], 'counts': [10, 20, SIZE[0] * SIZE[1] - 30]}
    values: list[tuple[str, Any, str, str]] = [
        ('no mask', None, 'error', 'have no mask'),
        ('empty mask', [], 'error', 'have no mask'),
        ('mask is a text', 'x', 'error', 'neither a list of polygons'),
        ('polygon is flat', [1, 2, 3, 4, 5, 6], 'error', 'neither a list of polygons'),
        ('polygon of texts', [['1', '2', '3', '4', '5', '6']], 'error', 'neither a list of polygons'),
        ('odd polygon', [[1, 2, 3, 4, 5, 6, 7]], 'error', 'odd number of coordinates'),
        ('short polygon', [[1, 2, 3, 4]], 'warning', 'fewer than 3 points'),
        ('polygon with NaN', [[1, 2, 3, 4, math.nan, 6]], 'error', 'polygons have a coordinate that is not finite'),
        ('polygon over the edge', [[1, 2, 99, 4, 5, 6]], 'warning', 'polygons leave their image'),
        ('polygon far outside', [[1, 2, 1e9, 4, 5, 6]], 'error', 'far outside of their image'),
        ('code of another size', {**code, 'size': [9, 9]}, 'error', 'another size than their image'),
        ('code without a size', {'counts': [1]}, 'error', 'size=None of a run-length code'),
        ('code without counts', {'size': code['size']}, 'error', 'counts=None of a run-length code'),
        ('code that is too short', {**code, 'counts': [10, 20]}, 'error', 'do not fill their image'),
        ('code with a negative count', {**code, 'counts': [-1, 3073]}, 'error', 'of a run-length code'),
    ]
    rows: list[Row] = [
        (name, masks(field('annotations', 'segmentation', value)), severity, words)
        for name, value, severity, words in values
    ]
    return [
        *rows,
        (
            'crowd with polygons',
            masks(field('annotations', 'iscrowd', 1)),
            'warning',
            'crowds (iscrowd=1) have polygons',
        ),
    ]


def _agreement() -> list[Row]:
    upper = [name.upper() for name in CLASSES]
    rows: list[Row] = [
        ('classes as a text', classes('disc'), 'error', "are the text 'disc'"),
        ('classes as numbers', classes([1, 2, 3]), 'error', 'must be a list of texts'),
        ('no classes', classes([]), 'error', 'list of classes is empty'),
        ('empty class', classes(['disc', '', 'square']), 'error', 'class names are empty'),
        ('class twice', classes(['disc', 'disc', 'square']), 'error', 'class names stand there twice'),
        ('class with a blank', classes(['disc ', 'triangle', 'square']), 'warning', 'begin or end with a blank'),
        ('classes in another order', classes(CLASSES[::-1]), 'error', 'have another order'),
        ('class in another case', classes(['Disc', *CLASSES[1:]]), 'error', "'Disc', but the file has 'disc'"),
        ('class spelt otherwise', classes(['disk', *CLASSES[1:]]), 'error', "'disk', but the file has 'disc'"),
        ('class that is not there', classes([*CLASSES, 'whale']), 'error', "'whale'"),
        ('other classes altogether', classes(['cat', 'dog', 'cow']), 'error', 'are no category of the file'),
        ('categories in another case', content(_rename(upper)), 'error', 'are no category of the file'),
        ('categories in another order', content(_rename([*CLASSES[1:], CLASSES[0]])), 'error', 'have another order'),
        (
            'categories in another order for validation',
            content(_rename([*CLASSES[::-1]]), split='val'),
            'error',
            'have another order',
        ),
        (
            'one more category',
            content(_append('categories', {'id': 9, 'name': 'whale'})),
            'warning',
            'are no class of the config',
        ),
        (
            'validation with other classes',
            config(lambda c: c.val_dataloader.dataset.update(metainfo={'classes': [*CLASSES[1:], CLASSES[0]]})),
            'error',
            'another order',
        ),
        (
            'validation with fewer classes',
            config(lambda c: c.val_dataloader.dataset.update(metainfo={'classes': CLASSES[:2]})),
            'error',
            'the classes differ from those of',
        ),
        ('head with more classes', config(_head(80)), 'error', 'num_classes=80, but the data has 3'),
        ('head with the background', config(_head(4)), 'error', 'num_classes=4, but the data has 3'),
        ('head with fewer classes', config(_head(1)), 'error', 'num_classes=1, but the data has 3'),
        ('evaluator of the training', _evaluator('train.json'), 'error', 'other images'),
        (
            'evaluator with other categories',
            several(content(_rename([*CLASSES[:2], 'whale']), split='test'), _same_images, _evaluator('test.json')),
            'error',
            'other categories',
        ),
        (
            'evaluator with other ids',
            several(content(_number_images_on, split='test'), _evaluator('test.json')),
            'error',
            'other images',
        ),
        (
            'evaluator with other boxes',
            several(
                content(lambda c: c.update(annotations=c['annotations'][1:]), split='test'),
                _same_images,
                _evaluator('test.json'),
            ),
            'warning',
            'other annotations',
        ),
        (
            'evaluator with a damaged file',
            several(raw(_cut(0.5), split='test'), _evaluator('test.json')),
            'error',
            'is no JSON',
        ),
        (
            'validated on the training',
            config(lambda c: c.val_dataloader.dataset.update(ann_file='train.json', data_prefix={'img': 'train/'})),
            'warning',
            'also in the training data',
        ),
        (
            'small images are dropped',
            config(lambda c: c.train_dataloader.dataset.update(filter_cfg={'min_size': 50})),
            'error',
            'no image is left',
        ),
        ('absolute file name', field('images', 'file_name', '/nowhere/000.jpg'), 'warning', 'absolute or contain'),
        (
            'file name that climbs',
            field('images', 'file_name', '../train/train_000.jpg'),
            'warning',
            'absolute or contain',
        ),
    ]
    return rows


COCO_FAULTS: list[Row] = [*_all_files(), *_fields(), *_boxes(), *_masks(), *_agreement()]


def file(name: str, text: str | bytes) -> Damage:
    """Replace a file of the folder."""
    return lambda folder: folder.files.update({name: text})


def _drop(name: str) -> Damage:
    return lambda folder: folder.files.pop(name) and None


def _lines(change: Callable[[list[str]], list[str]]) -> Damage:
    path = 'ImageSets/Main/train.txt'
    return lambda folder: folder.files.update({path: '\n'.join(change(folder.files[path].split())) + '\n'})


def _first(change: Callable[[str], str | bytes]) -> Damage:
    path = 'Annotations/train_000.xml'
    return lambda folder: folder.files.update({path: change(folder.files[path])})


def _each(change: Callable[[int], str]) -> Damage:
    def damage(folder: DataFolder) -> None:
        for index in range(IMAGES):
            folder.files[f'Annotations/train_{index:03}.xml'] = change(index)

    return damage


def _in_0_1(index: int) -> str:
    text = xml(index)
    for label in range(len(CLASSES)):
        for tag, side, size in zip(('xmin', 'ymin', 'xmax', 'ymax'), corners(index, label), SIZE * 2, strict=True):
            text = text.replace(f'<{tag}>{side + 1}</{tag}>', f'<{tag}>{side / size:.4f}</{tag}>')
    return text


VOC_FAULTS: list[Row] = [
    ('empty list', file('ImageSets/Main/train.txt', ''), 'error', 'lists no image'),
    ('blank list', file('ImageSets/Main/train.txt', '\n \n'), 'error', 'lists no image'),
    ('list in latin-1', file('ImageSets/Main/train.txt', b'\xe4\n'), 'error', 'cannot be read'),
    ('blank line', _lines(lambda names: [*names, '', names[0]]), 'error', 'are blank'),
    ('name twice', _lines(lambda names: [*names, names[0]]), 'warning', 'stand several times'),
    ('name with a suffix', _lines(lambda names: [f'{name}.jpg' for name in names]), 'error', 'without its suffix'),
    (
        'name with a flag',
        _lines(lambda names: [f'{name}  1' for name in names]),
        'error',
        'a line holds the name alone',
    ),
    ('name that is not there', _lines(lambda names: [*names, 'gone']), 'error', 'gone.xml'),
    ('missing XML', _drop('Annotations/train_000.xml'), 'error', 'annotation files do not exist'),
    ('missing XML for validation', _drop('Annotations/val_000.xml'), 'error', 'annotation files do not exist'),
    ('empty XML', _first(lambda text: ''), 'error', 'no element found'),
    *[(f'XML cut at {share}', _first(_cut(share)), 'error', 'cannot be read') for share in (0.1, 0.4, 0.7, 0.95)],
    ('no XML', _first(lambda text: 'hello'), 'error', 'syntax error'),
    ('zeros', _first(lambda text: b'\0' * 50), 'error', 'cannot be read'),
    (
        'unknown encoding',
        _first(lambda text: f'<?xml version="1.0" encoding="klingon"?>{text}'),
        'error',
        'cannot be read',
    ),
    (
        'wrong encoding',
        _first(lambda text: b'<?xml version="1.0" encoding="utf-8"?><a>\xe4</a>'),
        'error',
        'cannot be read',
    ),
    ('no size', _first(lambda text: text.replace('size', 'measures')), 'warning', 'have no size'),
    ('size without width', _first(lambda text: text.replace('width', 'breadth')), 'error', 'width of size is None'),
    ('size with a fraction', _first(lambda text: text.replace('<width>64', '<width>64.0')), 'error', "is '64.0'"),
    ('size of 0', _first(lambda text: text.replace('<width>64', '<width>0')), 'error', 'size is 0x48'),
    ('size that is empty', _first(lambda text: text.replace('<width>64', '<width>')), 'error', 'width of size is None'),
    ('another size', _first(lambda text: text.replace('<width>64', '<width>128')), 'error', 'another size'),
    ('swapped size', _each(lambda index: xml(index, width=SIZE[1], height=SIZE[0])), 'error', 'another size'),
    ('object without a name', _first(lambda text: text.replace('<name>disc</name>', '')), 'error', 'has no name'),
    ('object with an empty name', _first(lambda text: text.replace('>disc<', '><')), 'error', 'has no name'),
    ('object without a box', _first(lambda text: text.replace('bndbox', 'box')), 'error', 'has no bndbox'),
    ('box without xmin', _first(lambda text: text.replace('xmin', 'left')), 'error', 'xmin of object 1'),
    ('box of words', _each(lambda index: xml(index, box=['a', 2, 30, 40])), 'error', "'a', and must be a number"),
    ('box with NaN', _each(lambda index: xml(index, box=['nan', 2, 30, 40])), 'error', 'not finite'),
    ('box with inf', _each(lambda index: xml(index, box=[1, 2, 'inf', 40])), 'error', 'not finite'),
    (
        'box in the wrong order',
        _each(lambda index: xml(index, box=[30, 40, 10, 20])),
        'error',
        'negative width or height',
    ),
    ('box without area', _each(lambda index: xml(index, box=[10, 20, 10, 30])), 'warning', 'have no area'),
    ('box outside', _each(lambda index: xml(index, box=[200, 200, 300, 300])), 'error', 'completely outside'),
    ('box over the edge', _each(lambda index: xml(index, box=[20, 20, 90, 40])), 'warning', 'leave their image'),
    ('boxes in 0..1', _each(_in_0_1), 'error', 'lie in 0..1'),
    ('name in another case', _each(lambda index: xml(index, name='Disc')), 'error', "'Disc', 4 times, for 'disc'"),
    ('classes in another case', classes([name.upper() for name in CLASSES]), 'error', "for 'DISC'"),
    ('name with a blank', _each(lambda index: xml(index, name='disc ')), 'error', "for 'disc'"),
    ('unknown name', _each(lambda index: xml(index, name='whale')), 'warning', "'whale', 4 times"),
    ('class without an object', classes([*CLASSES, 'whale']), 'warning', 'no object to learn from'),
    ('other classes altogether', classes(['cat', 'dog', 'cow']), 'error', 'no object of a class to learn from'),
    ('no object at all', _each(lambda index: '<annotation/>'), 'error', 'no object of a class to learn from'),
    (
        'difficult is a word',
        _first(lambda text: text.replace('<difficult>0', '<difficult>no')),
        'error',
        'difficult of',
    ),
    (
        'all are difficult',
        _each(lambda index: xml(index).replace('<difficult>0', '<difficult>1')),
        'error',
        'marked as difficult',
    ),
    ('classes as a text', classes('disc'), 'error', "are the text 'disc'"),
    ('head with more classes', config(_head(20)), 'error', 'num_classes=20, but the data has 3'),
]


def _cut_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _turn(path: Path) -> None:
    with Image.open(path) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(path, exif=exif)


def _grow(path: Path) -> None:
    cv2.imwrite(str(path), np.zeros((SIZE[1] * 2, SIZE[0] * 2, 3), np.uint8))


AFTER: list[tuple[str, Callable[[Path], object], str]] = [
    ('vanished', lambda path: path.unlink(), 'do not exist'),
    ('renamed', lambda path: path.rename(path.with_suffix('.JPG')), '.JPG does'),
    ('of another kind', lambda path: path.rename(path.with_suffix('.png')), '.png does'),
    ('empty', lambda path: path.write_bytes(b''), 'the file is empty'),
    ('truncated', _cut_file, 'cannot be read'),
    ('without its last bytes', lambda path: path.write_bytes(path.read_bytes()[:-60]), 'truncated'),
    ('of words', lambda path: path.write_text('hello'), 'cannot be read'),
    ('of zeros', lambda path: path.write_bytes(b'\0' * 500), 'cannot be read'),
    ('a page of HTML', lambda path: path.write_text('<html>404</html>'), 'cannot be read'),
    ('a broken link', lambda path: (path.unlink(), path.symlink_to('gone.jpg')), 'cannot be read'),
    ('a folder', lambda path: (path.unlink(), path.mkdir()), 'cannot be read'),
    ('of twice the size', _grow, '128x96, annotated as 64x48'),
    ('turned by its EXIF', _turn, '48x64 after its EXIF orientation'),
]
"""What may have happened to an image file, and what is said about it; each is an error."""

IMAGE_OF = {'coco': '{0}/{0}_001.jpg', 'voc': 'JPEGImages/{}_001.jpg'}
"""The image that is damaged, by the layout of the folder; `{}` is the split."""

assert SPLITS[0] == 'train'
