"""`tools/check_data.py`, and damaged data handed to other tools: one line, exit code 2, nothing written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from resnest_mm.training.data_check.cache import cache_folder
from tests.support.data_faults import COCO_FAULTS, VOC_FAULTS
from tests.support.data_folders import DataFolder, coco_folder, voc_folder

pytest.importorskip('mmdet')

Tool = Callable[[str, Sequence[str]], int]
COCO = {name: damage for name, damage, *_ in COCO_FAULTS}
VOC = {name: damage for name, damage, *_ in VOC_FAULTS}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_process: None) -> None:
    monkeypatch.setenv('RESNEST_MM_CACHE', str(tmp_path / 'cache'))
    monkeypatch.chdir(tmp_path)


def write(folder: DataFolder, path: Path) -> str:
    folder.write()
    folder.cfg.dump(path)
    return str(path)


def listing(root: Path) -> set[Path]:
    return set(root.rglob('*'))


def test_sound_data(tmp_path: Path, tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line says so, and the result is kept away from the data."""
    folder = coco_folder(tmp_path / 'data')
    config = write(folder, tmp_path / 'c.py')
    before = listing(folder.root)
    assert tool('check_data', [config]) == 0
    assert capsys.readouterr().out == 'no faults found\n'
    assert listing(folder.root) == before
    assert len(list(cache_folder().iterdir())) == 3


def test_all_faults_are_listed(tmp_path: Path, tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    """A user corrects ten faults after one run and not after ten."""
    folder = coco_folder(tmp_path / 'data')
    names = [
        *('image_id of no image', 'category of no class', 'iscrowd is 2', 'image with width=0'),
        *('annotation id twice', 'one more category', 'head with more classes', 'validated on the training'),
    ]
    for name in names:
        COCO[name](folder)
    folder.files['train.json']['annotations'][5]['bbox'] = [1, 2, -3, 4]
    config = write(folder, tmp_path / 'c.py')
    before = listing(tmp_path)
    assert tool('check_data', [config, '--split', 'train', '--split', 'val']) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith('error: data check: train_dataloader.dataset: 1 of 4 images have no width')
    assert printed.err.count('\n') == 1
    assert 'all listed on stdout' in printed.err
    for words in (
        *('negative width or height (annotation 6 of ', 'image_id=99', 'category_id=99', 'iscrowd=2', '0x48'),
        *(
            'ids stand there several times (2, 2 times)',
            "'whale' with 0",
            'num_classes=80',
            'also in the training data',
        ),
    ):
        assert words in printed.out, words
    assert listing(tmp_path) == before


def test_an_absent_split_is_named(tmp_path: Path, tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    """A config without a test set is checked as it is, unless the test set is asked for."""
    folder = coco_folder(tmp_path / 'data')
    for key in ('test_dataloader', 'test_evaluator', 'test_cfg', 'model'):
        folder.cfg[key] = None
    config = write(folder, tmp_path / 'c.py')
    assert tool('check_data', [config]) == 0
    assert tool('check_data', [config, '--split', 'test']) == 2
    assert capsys.readouterr().err == 'error: the config has no test_dataloader; choose another --split, or add one\n'


DAMAGED = [
    *(('coco', name) for name in ('train: cut at 0.6', 'train: nested deeply', "image with width='64'", 'box None')),
    *(('coco', name) for name in ('polygon with NaN', 'classes as a text')),
    *(('voc', name) for name in ('XML cut at 0.4', 'box of words', 'blank line')),
]


@pytest.mark.parametrize('name', ['train', 'test', 'browse_dataset'])
@pytest.mark.parametrize(('layout', 'fault'), DAMAGED)
def test_damaged_data_is_refused_in_one_line(
    layout: str, fault: str, name: str, tmp_path: Path, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A traceback from inside a host names no file, and some of this data ends the process when it is drawn."""
    folder = coco_folder(tmp_path / 'data') if layout == 'coco' else voc_folder(tmp_path / 'data')
    (COCO if layout == 'coco' else VOC)[fault](folder)
    arguments = [str(tmp_path / 'run')] if name == 'browse_dataset' else ['--work-dir', str(tmp_path / 'run')]
    if name == 'test':
        folder.cfg.test_dataloader.dataset = folder.cfg.train_dataloader.dataset
        torch.save({'state_dict': {}}, tmp_path / 'a.pth')
        arguments.append(str(tmp_path / 'a.pth'))
    config = write(folder, tmp_path / 'c.py')
    before = listing(tmp_path)
    assert tool(name, [config, *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith('error: data check: ') and err.count('\n') == 1, err
    assert listing(tmp_path) == before


def test_a_training_without_the_check(tmp_path: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option leaves everything to the host."""
    folder = coco_folder(tmp_path / 'data')
    folder.files['train.json']['annotations'][0]['bbox'] = [1, 2, -3, 4]
    config = write(folder, tmp_path / 'c.py')
    monkeypatch.setattr('resnest_mm.training.plan.check_datasets', lambda *args, **more: pytest.fail('it looked'))
    monkeypatch.setattr('resnest_mm.training.plan.RunPlan.build_runner', lambda plan: None)
    from resnest_mm.training.plan import TrainArguments, plan_training

    assert plan_training(TrainArguments(config=config, data_check=False)).data_notes == ()
