"""Damaged data sets of label maps: the data check names the fault, and reads the good ones without an error."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnest_mm.training.data_check.check import check_datasets
from tests.support.amounts import amount, record_counts
from tests.support.label_data import CLASSES, SIZE, LabelData

CV2 = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'imdecode_backend': 'cv2'}]
PILLOW = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}]


@dataclass(frozen=True)
class Case:
    """A fault.

    Args:
        damage: Changes the data.
        text: Words of the finding.
        severity: Of the finding; no error may be found where it is not `error`.
        both: Entries of both data sets.
        train: Entries of the training data set.
        cfg: Other entries of the config, by dotted key.
    """

    damage: Callable[[LabelData], object] = lambda data: None
    text: str = ''
    severity: str = 'error'
    both: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    cfg: dict[str, Any] = field(default_factory=dict)


def content(change: Callable[[bytes], bytes], split: str) -> Callable[[LabelData], object]:
    def damage(data: LabelData) -> None:
        data.map(split).write_bytes(change(data.map(split).read_bytes()))

    return damage


def flipped(place: float) -> Callable[[bytes], bytes]:
    def change(old: bytes) -> bytes:
        at = int(place * len(old))
        return old[:at] + bytes([old[at] ^ 0x5A]) + old[at + 1 :]

    return change


def picture(make: Callable[[Image.Image], Image.Image], *, kind: str = 'PNG') -> Callable[[LabelData], object]:
    def damage(data: LabelData) -> None:
        with Image.open(data.map()) as old:
            new = make(old.copy())
        new.save(data.map(), kind)

    return damage


def pixels(change: Callable[[Any], Any], *, split: str = 'train') -> Callable[[LabelData], object]:
    return lambda data: data.write(change(np.array(Image.open(data.map(split)))), split)


def put(value: int) -> Callable[[Any], Any]:
    def change(labels: Any) -> Any:
        labels[5, 5] = value
        return labels

    return change


def listed(text: bytes) -> Callable[[LabelData], object]:
    return lambda data: (data.root / 'list.txt').write_bytes(text)


def palette(old: Image.Image) -> Image.Image:
    coloured = old.convert('P')
    coloured.putdata(np.asarray(old).reshape(-1).tolist())
    coloured.putpalette([number * 37 % 256 for number in range(768)])
    return coloured


def turned(data: LabelData) -> None:
    image = Image.open(data.image())
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(data.image(), exif=exif)


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to('nothing')


def moved(path: Path) -> None:
    path.rename(path.with_suffix('.gone'))


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    'empty': lambda old: b'',
    'nothing but the signature': lambda old: old[:8],
    'cut at a tenth': lambda old: old[: len(old) // 10],
    'cut in the middle': lambda old: old[: len(old) // 2],
    'without the last byte': lambda old: old[:-1],
    'without the end': lambda old: old[:-12],
    'changed header': flipped(0.1),
    'changed pixels': flipped(0.5),
    'changed end': flipped(0.99),
    'a web page': lambda old: b'<html>404</html>',
    'zeros': lambda old: bytes(len(old)),
    'a pointer of git lfs': lambda old: b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n',
}
LIST = {'ann_file': 'list.txt'}
EXTRA = {'img_suffix': '.jpg'}
WIDE = np.full((SIZE[1], SIZE[0]), 300, np.uint16)
DECODE = 'model.decode_head'

CASES: dict[str, Case] = {
    **{
        f'{split} map, {backend}: {name}': Case(
            content(change, split), 'label maps cannot be read', both={'pipeline': pipeline}
        )
        for name, change in DAMAGE.items()
        for split, backend, pipeline in (('train', 'pillow', PILLOW), ('val', 'cv2', CV2))
    },
    # Files of another kind
    'colours': Case(picture(lambda old: old.convert('RGB')), 'label maps have several channels'),
    'colours with alpha': Case(picture(lambda old: old.convert('RGBA')), 'label maps have several channels'),
    'grey with alpha': Case(picture(lambda old: old.convert('LA')), 'label maps have several channels'),
    'palette read as colours': Case(picture(palette), 'label maps have several channels', both={'pipeline': CV2}),
    'above 255': Case(lambda data: data.write(WIDE), 'label maps have values above 255'),
    'fractions': Case(
        picture(lambda old: Image.fromarray(np.asarray(old, np.float32)), kind='TIFF'), 'labels are integers'
    ),
    'a JPEG': Case(picture(lambda old: Image.new('L', old.size, 1), kind='JPEG'), 'JPEG files', 'warning'),
    'noise of a JPEG': Case(picture(lambda old: old, kind='JPEG'), 'values that are no class'),
    'a folder': Case(lambda data: (data.map().unlink(), data.map().mkdir()), 'label maps cannot be read'),
    # Values
    **{f'value {value}': Case(pixels(put(value)), 'values that are no class') for value in (3, 4, 127, 128, 254)},
    'value 3 in val': Case(pixels(put(3), split='val'), 'values that are no class (', both={}),
    'labels from 1': Case(lambda data: data.change({2: 3, 1: 2, 0: 1}), 'set reduce_zero_label=True'),
    'zero is not ignored': Case(text='', severity='warning', both={'reduce_zero_label': True}),
    'grey levels': Case(lambda data: data.change({1: 100, 2: 200}), 'values that are no class'),
    'all ignored, one map': Case(pixels(lambda old: 0 * old + 255), 'only ignored pixels', 'warning'),
    'all ignored': Case(lambda data: data.change({0: 255, 1: 255, 2: 255}), 'only ignored pixels'),
    'masks of 0 and 255': Case(lambda data: data.change({1: 255, 2: 255}), 'only values in any map are 0 and 255'),
    'one class': Case(lambda data: data.change({1: 0, 2: 0, 255: 0}), 'no other class in any map than 0', 'warning'),
    'a class is absent': Case(lambda data: data.change({2: 0}), 'classes do not appear in any map', 'warning'),
    '255 is not ignored': Case(text='values that are no class', cfg={f'{DECODE}.ignore_index': 0}),
    'the metric ignores another': Case(text='values that are no class', cfg={'val_evaluator.ignore_index': 9}),
    'ignore_index without effect': Case(text='has no effect', severity='warning', both={'ignore_index': 7}),
    'two settings of zero': Case(
        text='LoadAnnotations of its pipeline has True',
        both={'pipeline': [PILLOW[0], {**PILLOW[1], 'reduce_zero_label': True}]},
    ),
    # Sizes
    'narrow': Case(pixels(lambda old: old[:, :-1]), 'another size than their image'),
    'turned': Case(pixels(lambda old: old.T), 'another size than their image'),
    'half': Case(pixels(lambda old: old[::2, ::2]), 'another size than their image'),
    'a pixel': Case(pixels(lambda old: old[:1, :1]), 'another size than their image'),
    'EXIF orientation': Case(turned, 'another size than their image'),
    # Files that are not there
    'map is gone': Case(lambda data: moved(data.map()), 'label maps do not exist'),
    'map is a link to nothing': Case(lambda data: link(data.map()), 'No such file or directory'),
    'all maps are gone': Case(lambda data: shutil.rmtree(data.root / 'labels' / 'val'), 'label maps do not exist'),
    'image is gone': Case(lambda data: moved(data.image()), 'label maps have no image', 'warning'),
    'suffix of maps': Case(
        text="holds 6 files with .png, and seg_map_suffix='_x.png'", both={'seg_map_suffix': '_x.png'}
    ),
    'suffix of images': Case(text='it has no image: ', both=EXTRA),
    'some images have another suffix': Case(
        lambda data: data.image().rename(data.image().with_suffix('.jpg')), 'image files are left out', 'warning'
    ),
    'folder of images': Case(
        text='it has no image', train={'data_prefix': {'img_path': '', 'seg_map_path': ''}, **EXTRA}
    ),
    'no folder of maps': Case(text='it has no label maps', train={'data_prefix': {'img_path': 'images/train'}}),
    'maps of the other split': Case(
        text='label maps do not exist',
        train={'data_prefix': {'img_path': 'images/train', 'seg_map_path': 'labels/val'}},
    ),
    # Lists
    'unknown name': Case(listed(b'0\n1\n77\n'), 'do not exist', train=LIST),
    'names with suffix': Case(listed(b'0.png\n1.png\n'), 'listed names end with .png already', train=LIST),
    'blank line': Case(listed(b'0\n\n1\n'), 'do not exist', train=LIST),
    'empty list': Case(listed(b''), 'lists no image', train=LIST),
    'no text': Case(listed(bytes(range(256))), 'cannot be listed', train=LIST),
    'listed twice': Case(listed(b'0\n1\n2\n0\n'), 'listed more than once', 'warning', train=LIST),
    'folder in the list': Case(listed(b'0\n../train\n'), 'do not exist', train=LIST),
    # Settings
    'classes as a text': Case(text='each letter', both={'metainfo': {'classes': 'sky'}}),
    'no classes': Case(text='is empty', train={'metainfo': {'classes': ()}}),
    'a class twice': Case(text='twice', both={'metainfo': {'classes': ('road', 'sky', 'sky')}}),
    'other order': Case(text='order', train={'metainfo': {'classes': CLASSES[::-1]}}),
    'one class less': Case(text='num_classes=3', both={'metainfo': {'classes': CLASSES[:2]}}),
    'palette': Case(text='cannot be built', both={'metainfo': {'classes': CLASSES, 'palette': [[0, 0, 0]] * 2}}),
    'unknown class of a known data set': Case(text='cannot be built', train={'type': 'CityscapesDataset'}),
    'numbers of a known data set': Case(text='only ignored pixels', train={'type': 'ADE20KDataset'}),
    'head': Case(text='num_classes=4', cfg={f'{DECODE}.num_classes': 4}),
    'class weights': Case(text='class_weight has 2 numbers', cfg={f'{DECODE}.loss_decode.class_weight': [1.0, 2.0]}),
    'train is val': Case(
        text='images are also in the training data',
        severity='warning',
        train={'data_prefix': {'img_path': 'images/val', 'seg_map_path': 'labels/val'}},
    ),
}
GOOD: dict[str, Case] = {
    'untouched': Case(),
    'nothing ignored': Case(lambda data: data.change({255: 0})),
    'palette read as numbers': Case(picture(palette)),
    'a list with carriage returns': Case(listed(b'0\r\n1\r\n2\r\n'), train=LIST),
    '16 bits with small values': Case(lambda data: data.write(data.labels().astype(np.uint16))),
    'labels from 1 with the setting': Case(
        lambda data: data.change({2: 3, 1: 2, 0: 1}), both={'reduce_zero_label': True}
    ),
    'another ignored label': Case(
        lambda data: data.change({255: 9}), cfg={f'{DECODE}.ignore_index': 9, 'val_evaluator.ignore_index': 9}
    ),
    'one bit for two classes': Case(
        lambda data: [Image.new('1', SIZE, index % 2).save(path) for index, path in enumerate(data.maps())],
        both={'metainfo': {'classes': CLASSES[:2]}},
        cfg={f'{DECODE}.num_classes': 2},
    ),
}
QUICK = ('train map, pillow: changed end', 'colours', 'value 3', 'masks of 0 and 255', 'all ignored', 'half',
         'suffix of maps', 'unknown name')  # fmt: skip


def findings(case: Case, root: Path) -> list[Any]:
    data = LabelData(root)
    case.damage(data)
    cfg = data.config(train=case.train, both=case.both)
    cfg.merge_from_dict(case.cfg)
    return check_datasets(cfg, splits=('train', 'val'))


def test_every_fault_is_found(tmp_path: Path, record_property: Any) -> None:
    """No damage passes, ends in a traceback, or is named by other words than those of its fault."""
    chosen = amount(len(QUICK), whole=len(CASES))
    names = QUICK if chosen == len(QUICK) else tuple(CASES)
    outcomes: Counter[str] = Counter()
    wrong = []
    for number, name in enumerate(names):
        case = CASES[name]
        found = findings(case, tmp_path / str(number))
        if any(finding.severity == case.severity and case.text in str(finding) for finding in found):
            outcomes[case.severity] += 1
        else:
            outcomes['unnoticed'] += 1
            wrong.append(f'{name}: {[str(finding) for finding in found]}')
        if case.severity != 'error' and any(finding.severity == 'error' for finding in found):
            wrong.append(f'{name} is refused: {[str(finding) for finding in found]}')
    record_counts(record_property, 'damaged label maps', outcomes)
    assert not wrong, '\n'.join(wrong)


@pytest.mark.parametrize('name', GOOD)
def test_good_data_has_no_fault(name: str, tmp_path: Path) -> None:
    """Formats and settings that mmseg reads correctly are neither refused nor warned of."""
    assert [str(finding) for finding in findings(GOOD[name], tmp_path / 'data')] == []
