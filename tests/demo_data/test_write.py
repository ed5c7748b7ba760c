"""The demo data set on disk is reproducible and complete, and writing it replaces no other files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from resnest_mm.demo_data import CLASSES, DemoSettings, draw_scene, holds_demo_data, write_demo_data
from resnest_mm.demo_data import write as demo
from tests.support.progress_bars import record_bars

TINY = DemoSettings(images=3, size=64)
OTHER = DemoSettings(images=2, size=64, seed=1)


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope='module')
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_data(tmp_path_factory.mktemp('tiny') / 'demo', settings=TINY)


def test_same_settings_give_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    """Two users' numbers can only be compared when their files are equal."""
    again = write_demo_data(tmp_path / 'again', settings=TINY)
    assert hashes(again) == hashes(tiny)
    assert len(hashes(tiny)) == 3 * (3 + 8) + 5


def test_another_seed_gives_other_images(tiny: Path, tmp_path: Path) -> None:
    other = write_demo_data(tmp_path / 'other', settings=DemoSettings(images=3, size=64, seed=5))
    ours, theirs = hashes(tiny), hashes(other)
    assert ours.keys() == theirs.keys()
    assert not set(ours.values()) & set(theirs.values())


def test_more_images_keep_the_first_ones(tiny: Path, tmp_path: Path) -> None:
    more = hashes(write_demo_data(tmp_path / 'more', settings=DemoSettings(images=5, size=64)))
    kept = {name: digest for name, digest in hashes(tiny).items() if not name.endswith('.json')}
    assert kept.items() <= more.items()


@pytest.mark.parametrize('split', ['train', 'val'])
def test_files_agree_with_the_scenes(tiny: Path, split: str) -> None:
    """Annotations, semantic maps and pictures on disk are those of draw_scene, read as COCO's own tools read them."""
    coco = COCO(str(tiny / 'annotations' / f'instances_{split}.json'))
    assert [coco.cats[label]['name'] for label in sorted(coco.cats)] == list(CLASSES)
    assert len(coco.imgs) == TINY.count(split)
    assert 0 not in coco.anns
    for index, image in enumerate(coco.loadImgs(sorted(coco.imgs))):
        scene = draw_scene(TINY, split, index)
        picture = cv2.imread(str(tiny / split / image['file_name']))
        assert picture.shape == (image['height'], image['width'], 3) == (64, 64, 3)
        assert np.abs(picture.astype(float) - scene.image).mean() < 12
        semantic = cv2.imread(str(tiny / 'semantic' / split / f'{index:06d}.png'), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(semantic, scene.semantic)
        annotations = coco.loadAnns(coco.getAnnIds(image['id']))
        assert len(annotations) == len(scene.instances)
        for annotation, instance in zip(annotations, scene.instances, strict=True):
            assert annotation['category_id'] == instance.label
            assert annotation['bbox'] == list(instance.box)
            assert annotation['area'] == instance.mask.sum()
            assert annotation['iscrowd'] == 0
            np.testing.assert_array_equal(coco.annToMask(annotation).astype(bool), instance.mask)


def test_meta_records_what_decides_the_files(tiny: Path) -> None:
    meta = json.loads((tiny / 'meta.json').read_text())
    assert (meta['seed'], meta['size'], meta['images']) == (0, 64, {'train': 3, 'val': 8})
    assert meta['classes'] == ['background', *CLASSES]
    assert len(meta['palette']) == 6


def test_complete_set_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make demo` twice draws once."""
    out = write_demo_data(tmp_path / 'demo', settings=OTHER)
    monkeypatch.setattr(demo, 'draw_scene', None)
    assert write_demo_data(out, settings=OTHER) == out
    assert holds_demo_data(out, settings=OTHER)
    assert not holds_demo_data(out, settings=TINY)


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError('disk full')], ids=['interrupt', 'disk-full'])
@pytest.mark.parametrize('replacing', [False, True], ids=['new', 'replacing'])
def test_failure_midway_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Any, replacing: bool
) -> None:
    """Neither a half-written set nor a temporary folder stays, and an older set keeps every byte."""
    out = tmp_path / 'demo'
    if replacing:
        write_demo_data(out, settings=OTHER)
    before = hashes(tmp_path)
    write_image, calls = demo._write_image, iter(range(100))

    def fail_on_the_fifth(path: Path, image: Any) -> None:
        if next(calls) == 4:
            raise error
        write_image(path, image)

    monkeypatch.setattr(demo, '_write_image', fail_on_the_fifth)
    with pytest.raises(type(error) if isinstance(error, Exception) else error):
        write_demo_data(out, settings=TINY, force=True)
    assert next(calls) == 5
    assert hashes(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == (['demo'] if replacing else [])


def test_failed_swap_puts_the_old_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old set is away for a moment while the new one moves in."""
    out = write_demo_data(tmp_path / 'demo', settings=OTHER)
    before, rename = hashes(out), os.rename

    def refuse_the_new_one(source: Path, target: Path) -> None:
        if Path(source).name == 'new':
            raise PermissionError('no')
        rename(source, target)

    monkeypatch.setattr(os, 'rename', refuse_the_new_one)
    with pytest.raises(PermissionError):
        write_demo_data(out, settings=TINY, force=True)
    assert hashes(out) == before


def test_other_settings_need_force(tiny: Path, tmp_path: Path) -> None:
    out = write_demo_data(tmp_path / 'demo', settings=OTHER)
    with pytest.raises(ValueError, match='--force'):
        write_demo_data(out, settings=TINY)
    assert holds_demo_data(out, settings=OTHER)
    write_demo_data(out, settings=TINY, force=True)
    assert hashes(out) == hashes(tiny)
    assert [path.name for path in tmp_path.iterdir()] == ['demo']


def test_incomplete_set_is_completed(tiny: Path, tmp_path: Path) -> None:
    """Nothing is lost by it, and a set of an earlier version, which lacks the panoptic maps, needs no flag."""
    out = write_demo_data(tmp_path / 'demo', settings=TINY)
    (out / 'train' / '000001.jpg').unlink()
    shutil.rmtree(out / 'panoptic')
    assert not holds_demo_data(out, settings=TINY)
    write_demo_data(out, settings=TINY)
    assert hashes(out) == hashes(tiny)


@pytest.mark.parametrize(
    'meta', [None, '{"generator": "somebody else"}', 'no json', '[]', '{"generator": "resnest_mm demo data"}']
)
def test_folder_of_somebody_else_is_never_replaced(tmp_path: Path, meta: str | None) -> None:
    (tmp_path / 'thesis.txt').write_text('years of work')
    if meta is not None:
        (tmp_path / 'meta.json').write_text(meta)
    before = hashes(tmp_path)
    with pytest.raises(ValueError, match='no demo data set'):
        write_demo_data(tmp_path, settings=TINY, force=True)
    assert hashes(tmp_path) == before


def test_file_of_somebody_else_in_our_folder_is_kept(tmp_path: Path) -> None:
    out = write_demo_data(tmp_path / 'demo', settings=OTHER)
    (out / 'train' / 'notes.txt').write_text('mine')
    with pytest.raises(ValueError, match=r'train/notes\.txt'):
        write_demo_data(out, settings=TINY, force=True)
    assert (out / 'train' / 'notes.txt').read_text() == 'mine'


def test_a_bar_counts_the_images_of_each_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = record_bars(monkeypatch, 'resnest_mm.demo_data.write')
    write_demo_data(tmp_path / 'demo', settings=OTHER)
    assert [(bar.desc, bar.n, bar.total) for bar in bars] == [('train', 2, 2), ('val', 8, 8)]


@pytest.mark.parametrize(
    ('arguments', 'error', 'message'),
    [
        ({'images': 0}, ValueError, 'images=0 .* at least 1'),
        ({'size': 63}, ValueError, 'size=63 .* 64 to 1024'),
        ({'size': 1025}, ValueError, 'size=1025 .* 64 to 1024'),
        ({'seed': -1}, ValueError, 'seed=-1 .* at least 0'),
        ({'images': 2.0}, TypeError, r'images=2\.0 must be an integer'),
        ({'seed': True}, TypeError, 'seed=True must be an integer'),
    ],
)
def test_settings_out_of_range_are_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        DemoSettings(**arguments)


def test_validation_images_are_a_sixth_but_at_least_eight() -> None:
    assert [DemoSettings(images=images).count('val') for images in (1, 54, 600)] == [8, 9, 100]
