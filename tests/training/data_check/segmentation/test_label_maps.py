"""The check of data sets of label maps: which maps it reads, what it keeps, and whose settings it compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnest_mm.training.data_check.check import check_datasets
from resnest_mm.training.data_check.finding import Finding
from resnest_mm.training.data_check.segmentation import maps
from resnest_mm.training.data_check.source import Settings
from tests.support.label_data import CLASSES, LabelData
from tests.support.progress_bars import record_bars


@pytest.fixture
def data(tmp_path: Path) -> LabelData:
    return LabelData(tmp_path / 'data')


def check(cfg: Any, **settings: Any) -> list[Finding]:
    return check_datasets(cfg, splits=('train', 'val'), settings=Settings(**settings))


def lines(cfg: Any, **settings: Any) -> list[str]:
    return [f'{finding.severity}: {finding}' for finding in check(cfg, **settings)]


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the path of every map that is read."""
    read: list[str] = []
    real = maps.read_map

    def counted(pair: Any, *, backend: str) -> Any:
        read.append(pair.label_map)
        return real(pair, backend=backend)

    monkeypatch.setattr(maps, 'read_map', counted)
    return read


def test_a_sample_of_maps_is_read_by_default_and_all_on_request(
    data: LabelData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start of a training costs the same for 200 and for 20,000 maps; the sample depends on the seed alone."""
    read = count_reads(monkeypatch)
    sampled = []
    for seed in (0, 0, 1):
        read.clear()
        check(data.config(), images=2, seed=seed)
        sampled.append(sorted(read))
        for split in ('train', 'val'):  # so that no result is kept
            data.write(data.labels(), split)
    assert [len(found) for found in sampled] == [4, 4, 4]
    assert sampled[0] == sampled[1] != sampled[2]
    read.clear()
    check(data.config(), images=None)
    assert len(read) == 9


def test_a_sample_of_large_maps_ends_early(data: LabelData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Maps of 100 megapixels do not hold up a training."""
    monkeypatch.setattr(maps, '_MOST_PIXELS', 24 * 16)
    monkeypatch.setattr(maps, '_BLOCK', 1)
    read = count_reads(monkeypatch)
    check(data.config(), images=5)
    assert len(read) == 2
    read.clear()
    check(data.config(), images=None)
    assert len(read) == 9


def test_a_sample_says_nothing_about_rare_classes(data: LabelData) -> None:
    """A class that stands in one map of six is not called absent after two maps, and is where all were read."""
    data.change({2: 0})
    assert lines(data.config(), images=2) == []
    found = lines(data.config(), images=None)
    assert len(found) == 2
    assert all('1 of 3 classes do not appear in any map (2 tree)' in line for line in found)


def test_a_class_of_val_that_training_never_sees_is_named(data: LabelData) -> None:
    """Its score can only be 0, which the mean hides."""
    for index in range(6):
        data.write(data.labels() % 2, index=index)
    found = lines(data.config())
    assert any('val_dataloader.dataset: 1 classes of its label maps are in no label map' in line for line in found)
    assert not any(line.startswith('error') for line in found)
    assert lines(data.config(), images=2) == [], 'a sample may have missed it'


def test_a_missing_map_is_one_finding(data: LabelData) -> None:
    """It is not called unreadable as well."""
    data.map().unlink()
    (line,) = lines(data.config())
    assert 'error: train_dataloader.dataset: 1 of 6 label maps do not exist' in line


def test_good_results_are_kept_until_a_file_changes(data: LabelData, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second start does not read the maps again; a changed map, class list or head is seen."""
    read = count_reads(monkeypatch)
    assert check(data.config()) == []
    read.clear()
    assert check(data.config()) == []
    assert not read
    data.write(np.full((16, 24), 7, np.uint8), index=3)
    assert [finding.count for finding in check(data.config())] == [1]
    data.write(data.labels(), index=3)
    renamed = data.config(both={'reduce_zero_label': True})
    assert any('set reduce_zero_label=False' in line for line in lines(renamed))


def test_errors_are_found_again_in_the_next_run(data: LabelData) -> None:
    """Nothing that is refused is kept as good."""
    data.write(np.full((16, 24), 7, np.uint8))
    assert lines(data.config()) == lines(data.config()) != []


def test_a_bar_counts_the_maps(data: LabelData, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a user sees that the maps are being read."""
    bars = record_bars(monkeypatch, 'resnest_mm.training.data_check.segmentation.maps')
    check(data.config())
    assert [(bar.n, bar.total, bar.desc) for bar in bars] == [
        (6, 6, 'label maps of train'),
        (3, 3, 'label maps of val'),
    ]


def test_data_sets_inside_wrappers_are_checked(data: LabelData) -> None:
    """RepeatDataset and ConcatDataset hide no fault, and the key leads to the inner one."""
    data.write(np.full((16, 24), 7, np.uint8))
    cfg = data.config()
    inner = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = {
        'type': 'RepeatDataset',
        'times': 2,
        'dataset': {'type': 'ConcatDataset', 'datasets': [inner]},
    }
    (line,) = lines(cfg)
    assert line.startswith('error: train_dataloader.dataset.dataset.datasets.0: 1 of 6 label maps hold values')


def test_a_subset_of_known_classes_is_numbered_anew(data: LabelData) -> None:
    """mmseg gives dropped classes the label 255, so their values in the files are no fault."""
    names = ('road', 'sidewalk', 'building', 'wall')
    data.change({2: 3})
    subset = data.config(
        both={'type': 'CityscapesDataset', 'metainfo': {'classes': names[:2]}, 'seg_map_suffix': '.png'}
    )
    subset.model.decode_head.num_classes = 2
    assert lines(subset) == []
    data.change({3: 77})
    assert all('label maps hold values that are no class' in line for line in lines(subset))


def test_each_head_of_a_list_is_compared(data: LabelData) -> None:
    """Of several auxiliary heads the wrong one is named."""
    cfg = data.config()
    head = {**cfg.model.decode_head, 'in_index': 2, 'in_channels': 128}
    good = {**head, 'loss_decode': {'type': 'CrossEntropyLoss', 'class_weight': [1.0, 2.0, 3.0]}}
    bad = {**head, 'loss_decode': [{'type': 'CrossEntropyLoss', 'class_weight': [1.0, 2.0]}]}
    cfg.model.auxiliary_head = [good, bad, {**good, 'num_classes': 5}]
    assert [line.partition(';')[0] for line in lines(cfg)] == [
        'error: model.auxiliary_head.2: num_classes=5, but the data has 3 classes (train_dataloader.dataset)',
        'error: model.auxiliary_head.1.loss_decode.0: class_weight has 2 numbers, but the head has 3 classes',
        'error: model.auxiliary_head.2.loss_decode: class_weight has 3 numbers, but the head has 5 classes',
    ]


def test_a_head_of_one_output_for_two_classes_is_right(data: LabelData) -> None:
    """mmseg's out_channels=1 with num_classes=2 is a sigmoid, and its label maps hold 0 and 1."""
    data.change({2: 1})
    cfg = data.config(both={'metainfo': {'classes': CLASSES[:2]}})
    cfg.model.decode_head.update(
        num_classes=2, out_channels=1, threshold=0.5, loss_decode={'type': 'CrossEntropyLoss', 'use_sigmoid': True}
    )
    assert lines(cfg) == []


def test_a_pipeline_of_the_users_own_gets_a_note(data: LabelData) -> None:
    """Files that only the user's code can read are not called damaged."""
    data.map().write_bytes(b'a format of my own')
    steps = [{'type': 'LoadImageFromFile'}, {'type': 'LoadBiomedicalAnnotation'}]
    (line,) = lines(data.config(train={'pipeline': steps}))
    assert line == 'note: train_dataloader.dataset: the label maps were not read: the pipeline has no LoadAnnotations'


@pytest.mark.parametrize(('train', 'severity'), [(True, 'warning'), (False, 'error')])
def test_a_smaller_copy_fits_only_where_the_pipeline_resizes_both(train: bool, severity: str, data: LabelData) -> None:
    """After a resize to a given size a map of half the size is right in training; in validation it never is."""
    data.write(data.labels()[::2, ::2], 'train' if train else 'val')
    load = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}]
    resize = {'type': 'Resize', 'scale': (24, 16), 'keep_ratio': True}
    (line,) = lines(data.config(both={'pipeline': [*load, resize, {'type': 'PackSegInputs'}]}))
    assert line.startswith(severity)
    assert 'another size than their image' in line
