"""The check of all data sets of a config: wrappers, other kinds of data sets, remote data, and what is kept."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, DefaultScope

from resnest_mm.training.data_check import check as checks
from resnest_mm.training.data_check.cache import cache_folder
from resnest_mm.training.data_check.check import check_datasets
from resnest_mm.training.data_check.finding import Finding
from resnest_mm.training.data_check.source import Settings
from tests.support.data_folders import CLASSES, SPLITS, DataFolder, coco_folder, voc_folder

pytest.importorskip('mmdet')


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('RESNEST_MM_CACHE', str(tmp_path / 'cache'))


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    made = coco_folder(tmp_path / 'data')
    made.write()
    return made


def lines(found: list[Finding]) -> list[str]:
    return [f'{finding.severity}: {finding}' for finding in found]


def break_a_box(folder: DataFolder, split: str = 'train') -> None:
    folder.files[f'{split}.json']['annotations'][0]['bbox'][2] = -5
    folder.write()


def test_mmdet_numbers_classes_in_the_order_of_the_file(folder: DataFolder) -> None:
    """The reason why another order is an error: label 0 is the first category of the file, whatever the config says."""
    node = copy.deepcopy(folder.cfg.train_dataloader.dataset)
    node.metainfo = {'classes': CLASSES[::-1]}
    node.pipeline = []
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = DATASETS.build(node)
    first = dataset.get_data_info(0)['instances'][0]  # a disc
    assert (first['bbox_label'], dataset.metainfo['classes'][0]) == (0, 'square')


@pytest.mark.parametrize(
    'wrap',
    [
        lambda node: {'type': 'RepeatDataset', 'times': 2, 'dataset': node},
        lambda node: {'type': 'ClassBalancedDataset', 'oversample_thr': 0.1, 'dataset': node},
        lambda node: {'type': 'MultiImageMixDataset', 'pipeline': [], 'dataset': node},
        lambda node: {
            'type': 'RepeatDataset',
            'times': 2,
            'dataset': {'type': 'ConcatDataset', 'datasets': [node, node]},
        },
    ],
    ids=['repeat', 'balanced', 'mixed', 'nested'],
)
def test_data_sets_inside_wrappers_are_checked(wrap: Any, folder: DataFolder) -> None:
    """A wrapper hides its data set from mmengine's checks, not from this one."""
    break_a_box(folder)
    folder.cfg.train_dataloader.dataset = ConfigDict(wrap(folder.cfg.train_dataloader.dataset))
    found = check_datasets(folder.cfg, splits=SPLITS)
    assert {(finding.severity, finding.count) for finding in found} == {('error', 1)}
    assert all(finding.key.startswith('train_dataloader.dataset.dataset') for finding in found)


class InstanceList(BaseDataset):
    """A user's data set with boxes, whose parsing nobody here knows."""

    def load_data_list(self) -> list[dict[str, Any]]:
        return json.loads(Path(self.ann_file).read_text())


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({}, ''),
        ({'bbox': [1, 2, 3]}, 'no list of four numbers'),
        ({'bbox': [0.1, 0.1, 0.5, 0.5]}, 'lie in 0..1'),
        ({'bbox': [30, 2, 10, 9]}, 'negative width or height'),
        ({'bbox': [300, 2, 310, 9]}, 'completely outside'),
        ({'bbox_label': 3}, 'labels are no number of a class'),
        ({'bbox_label': 'disc'}, 'labels are no number of a class'),
        ({'bbox_label': -1}, 'labels are no number of a class'),
    ],
)
def test_instances_of_an_unknown_data_set_are_checked(change: dict[str, Any], words: str, folder: DataFolder) -> None:
    """What a data set of a user's own gives to the pipeline has boxes [x1, y1, x2, y2] and labels below the classes."""
    instance = {'bbox': [4, 5, 16, 15], 'bbox_label': 0, 'ignore_flag': 0, **change}
    image = {'img_path': str(folder.root / 'train' / 'train_000.jpg'), 'width': 64, 'height': 48}
    path = folder.root / 'mine.json'
    path.write_text(json.dumps([{**image, 'instances': [instance]}]))
    node = {'type': InstanceList, 'ann_file': str(path), 'metainfo': {'classes': CLASSES}}
    folder.cfg.train_dataloader.dataset = ConfigDict({**node, 'pipeline': [{'type': 'LoadImageFromFile'}]})
    found = lines(check_datasets(folder.cfg, splits=('train',)))
    assert found == [] if not words else (len(found) == 1 and words in found[0])


def test_a_data_set_that_raises_is_refused_in_one_line(folder: DataFolder) -> None:
    """Whatever a user's parsing stumbles over is named, and no traceback."""
    (folder.root / 'mine.json').write_text('{')
    node = {'type': InstanceList, 'ann_file': str(folder.root / 'mine.json'), 'pipeline': []}
    folder.cfg.train_dataloader.dataset = ConfigDict(node)
    (found,) = check_datasets(folder.cfg, splits=('train',))
    assert str(found).startswith('train_dataloader.dataset: the annotations cannot be loaded: JSONDecodeError')


@pytest.mark.parametrize('change', [{'data_root': 's3://bucket'}, {'backend_args': {'backend': 'petrel'}}])
def test_remote_data_is_left_alone_and_says_so(change: dict[str, Any], folder: DataFolder) -> None:
    """A check that reads a bucket could take hours."""
    folder.cfg.train_dataloader.dataset.update(change)
    (found,) = check_datasets(folder.cfg, splits=('train',))
    assert (found.severity, found.what) == ('note', 'the data is on remote storage and was not checked')


def test_a_file_of_images_alone_is_enough_where_nothing_is_scored(folder: DataFolder) -> None:
    """COCO's test-dev has no annotations: predictions are only written."""
    folder.files['test.json']['annotations'] = []
    folder.write()
    assert [finding.what for finding in check_datasets(folder.cfg, splits=('test',))] == [
        'there is no annotation to score predictions with'
    ]
    folder.cfg.test_evaluator.update(format_only=True, outfile_prefix='out')
    assert check_datasets(folder.cfg, splits=('test',)) == []


def test_findings_are_kept_under_the_contents_of_the_annotations(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run reads no annotations; one other byte, or another class, does."""
    folder.cfg.train_dataloader.dataset.metainfo = {'classes': CLASSES[:2]}
    folder.cfg.model.roi_head.bbox_head.num_classes = 2
    first = check_datasets(folder.cfg, splits=('train',))
    assert [finding.severity for finding in first] == ['warning']
    reads = []
    kind = checks.KINDS[0]
    counting = tuple(
        type(kind)(
            applies=one.applies,
            fingerprint=one.fingerprint,
            read=lambda source, settings, one=one: reads.append(source.key) or one.read(source, settings),
        )
        for one in checks.KINDS
    )
    monkeypatch.setattr(checks, 'KINDS', counting)
    assert check_datasets(folder.cfg, splits=('train',)) == first
    assert reads == []
    folder.cfg.train_dataloader.dataset.metainfo = {'classes': CLASSES}
    folder.cfg.model.roi_head.bbox_head.num_classes = 3
    assert check_datasets(folder.cfg, splits=('train',)) == []
    break_a_box(folder)
    assert len(check_datasets(folder.cfg, splits=('train',))) == 1
    assert reads == ['train_dataloader.dataset'] * 2


def test_images_are_looked_for_in_every_run(folder: DataFolder) -> None:
    """An image that vanishes after a check is found by the next one, although the annotations are the same."""
    assert check_datasets(folder.cfg, splits=SPLITS) == []
    assert list(cache_folder().glob('*.json'))
    (folder.root / 'train' / 'train_002.jpg').unlink()
    assert [finding.what for finding in check_datasets(folder.cfg, splits=SPLITS)] == ['image files do not exist']


def test_a_refused_run_keeps_nothing(folder: DataFolder) -> None:
    """Nothing is written where a run is refused, also not what was found about its sound data sets."""
    break_a_box(folder)
    check_datasets(folder.cfg, splits=SPLITS)
    assert not cache_folder().exists()


@pytest.mark.parametrize('content', ['', '{', '[]', '{"findings": 3, "images": [], "labels": null}'])
def test_a_damaged_cache_is_no_cache(content: str, folder: DataFolder) -> None:
    """A result that cannot be read is found again."""
    assert check_datasets(folder.cfg, splits=('train',)) == []
    (kept,) = cache_folder().glob('*.json')
    good = kept.read_text()
    kept.write_text(content)
    assert check_datasets(folder.cfg, splits=('train',)) == []
    assert kept.read_text() == good


def test_a_sample_of_the_images_is_opened_unless_all_are_asked_for(tmp_path: Path) -> None:
    """The check must not take longer than it saves."""
    folder = voc_folder(tmp_path / 'data')
    folder.write()
    for path in (folder.root / 'JPEGImages').glob('train_*.jpg'):
        path.write_bytes(b'')
    (some,) = check_datasets(folder.cfg, splits=('train',), settings=Settings(images=2))
    (every,) = check_datasets(folder.cfg, splits=('train',), settings=Settings(images=None))
    assert ((some.count, some.total), (every.count, every.total)) == ((2, 2), (4, 4))


def test_a_mistake_of_the_check_stops_nobody(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception of our own is a note."""

    def fail(source: Any, settings: Any) -> Any:
        raise KeyError('x')

    kind = checks.KINDS[0]
    broken = type(kind)(applies=lambda source: True, fingerprint=lambda source: None, read=fail)
    monkeypatch.setattr(checks, 'KINDS', (broken,))
    (found,) = check_datasets(folder.cfg, splits=('train',))
    assert found.severity == 'note' and 'the check stopped at KeyError: x' in found.what


@pytest.mark.parametrize(
    ('model', 'wrong'),
    [
        ({'type': 'RetinaNet', 'bbox_head': {'type': 'RetinaHead', 'num_classes': 80}}, ['model.bbox_head']),
        ({'type': 'RetinaNet', 'bbox_head': {'type': 'RetinaHead', 'num_classes': 3}}, []),
        ({'roi_head': {'bbox_head': [{'num_classes': 3}, {'num_classes': 4}]}}, ['model.roi_head.bbox_head.1']),
        ({'roi_head': {'mask_head': {'num_classes': 80}}}, ['model.roi_head.mask_head']),
        ({'roi_head': {'mask_head': {'num_classes': 80, 'class_agnostic': True}}}, []),
        ({'rpn_head': {'type': 'RPNHead', 'num_classes': 1}}, []),
        ({'bbox_head': {'num_classes': 256}, 'language_model': {}}, []),
        ({'panoptic_head': {'num_things_classes': 80, 'num_stuff_classes': 53}}, ['model.panoptic_head']),
    ],
)
def test_every_head_has_the_classes_of_the_data(model: dict[str, Any], wrong: list[str], folder: DataFolder) -> None:
    """One stage, several stages, masks and panoptic heads; a region proposal network has one class."""
    folder.cfg.model = ConfigDict(model)
    found = check_datasets(folder.cfg, splits=('train',))
    assert [finding.key for finding in found] == wrong
