"""Damaged data sets of detectors: each fault is named before a training, and nothing else is raised."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from resnest_mm.training.data_check.check import check_datasets
from resnest_mm.training.data_check.finding import Finding
from tests.support.amounts import WHOLE, record_counts
from tests.support.data_faults import AFTER, COCO_FAULTS, IMAGE_OF, VOC_FAULTS, Damage
from tests.support.data_folders import SPLITS, DataFolder, coco_folder, voc_folder

pytest.importorskip('mmdet')

Make = Callable[[Path], DataFolder]
Fault = tuple[str, Make, Damage | None, Callable[[DataFolder], object] | None, str, str]


def _on_disk(layout: str, split: str, damage: Callable[[Path], object]) -> Callable[[DataFolder], object]:
    return lambda folder: damage(folder.root / IMAGE_OF[layout].format(split))


def all_faults() -> list[Fault]:
    """Return name, maker, damage before and after the files are written, severity and words of every fault."""
    faults: list[Fault] = []
    for layout, make, rows in (('coco', coco_folder, COCO_FAULTS), ('voc', voc_folder, VOC_FAULTS)):
        faults += [(f'{layout}, {name}', make, damage, None, *expected) for name, damage, *expected in rows]
        faults += [
            (f'{layout}, {split}: image {name}', make, None, _on_disk(layout, split, after), 'error', words)
            for name, after, words in AFTER
            for split in ('train', 'val')
        ]
    return faults


FAULTS = all_faults()
CHOSEN = FAULTS if WHOLE else random.Random(0).sample(FAULTS, 12)


def find(fault: Fault, root: Path) -> list[Finding]:
    """Return what the check finds in a folder with one fault."""
    _, make, before, after, _, _ = fault
    folder = make(root)
    if before is not None:
        before(folder)
    folder.write()
    if after is not None:
        after(folder)
    return check_datasets(folder.cfg, splits=SPLITS)


def test_every_fault_is_named(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Refused or warned as its row says; a fault that goes unnoticed, or a traceback, fails."""
    outcomes: Counter[str] = Counter()
    wrong = []
    for number, fault in enumerate(CHOSEN):
        name, *_, severity, words = fault
        found = find(fault, tmp_path / str(number))
        if any(finding.severity == severity and words in str(finding) for finding in found):
            outcomes['refused' if severity == 'error' else 'warned'] += 1
        else:
            wrong.append((name, severity, words, [f'{finding.severity}: {finding}' for finding in found]))
    assert wrong == [], wrong
    assert len({name for name, *_ in FAULTS}) == len(FAULTS) >= 120
    record_counts(record_property, 'damaged data sets of detectors', outcomes)


@pytest.mark.parametrize('make', [coco_folder, voc_folder])
def test_sound_data_has_no_finding(make: Make, tmp_path: Path) -> None:
    """A check that cries wolf is switched off."""
    folder = make(tmp_path)
    folder.write()
    assert check_datasets(folder.cfg, splits=SPLITS) == []
