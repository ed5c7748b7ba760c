"""The data check reads a file for `Detectron2CocoDataset` as one of COCO, and names the objects that it leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('mmdet', reason="the data sets are mmdet's")

from resnest_mm.training.data_check.check import check_datasets
from resnest_mm.training.data_check.finding import Finding
from tests.support.data_folders import coco_folder

LINE = [[10, 10, 20, 20]]


def findings(root: Path, *, lines: int, **dataset: Any) -> list[Finding]:
    """Return what is said of the training, where the first objects have polygons of two points."""
    folder = coco_folder(root)
    folder.cfg.train_dataloader.dataset.update(type='resnest_mm.Detectron2CocoDataset', **dataset)
    for one in folder.files['train.json']['annotations'][:lines]:
        one['segmentation'] = LINE
    folder.write()
    return check_datasets(folder.cfg, splits=('train',))


def outlines(found: list[Finding]) -> list[tuple[str, int | None]]:
    return [(each.severity, each.count) for each in found if 'fewer than 3 points' in each.what]


@pytest.mark.parametrize(('lines', 'expected'), [(0, []), (2, [('warning', 2)]), (12, [('error', 12)])])
def test_objects_without_an_outline_are_named_before_they_are_left_out(
    tmp_path: Path, lines: int, expected: list[tuple[str, int]]
) -> None:
    """A file of boxes whose tool wrote two points for each object would train on nothing."""
    assert outlines(findings(tmp_path, lines=lines)) == expected


def test_the_file_is_read_as_one_of_coco(tmp_path: Path) -> None:
    """Classes in another order than the file's are found, as for mmdet's data set."""
    found = findings(tmp_path, lines=0, metainfo={'classes': ('triangle', 'disc', 'square')})
    assert any(each.severity == 'error' and 'order' in str(each) for each in found)
