"""A tiny segmentor on the demo data, trained and reported on by the tools: the report has the numbers of mmseg."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnest_mm.demo_data import PALETTE, SEMANTIC_CLASSES, DemoSettings, write_demo_data
from resnest_mm.drawing.grid import SheetGrid
from resnest_mm.report.class_scores import TOLERANCE

pytest.importorskip('mmseg', reason='trains a segmentor of mmseg')

TINY = """\
_base_ = {base!r}
norm_cfg = dict(type='BN', momentum=0.5)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[120, 120, 120], std=[60, 60, 60], bgr_to_rgb=True,
                           size=(64, 64), seg_pad_val=255),
    backbone=dict(type='resnest_mm.ResNeSt', depth=14, base_channels=8, stem_channels=16, norm_cfg=norm_cfg),
    decode_head=dict(type='FCNHead', in_channels=256, in_index=3, channels=16, num_convs=1, num_classes=6,
                     dropout_ratio=0, norm_cfg=norm_cfg),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
common = dict(type='BaseSegDataset', data_root={data!r},
              metainfo=dict(classes={classes!r}, palette={palette!r}))
train_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(data_prefix=dict(img_path='train', seg_map_path='semantic/train'), **common,
                 pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]))
val_dataloader = dict(
    batch_size=3, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(data_prefix=dict(img_path='val', seg_map_path='semantic/val'), test_mode=True, **common,
                 pipeline=[dict(type='LoadImageFromFile'), dict(type='Resize', scale=(96, 96), keep_ratio=True),
                           dict(type='LoadAnnotations'), dict(type='PackSegInputs')]))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric')
test_evaluator = val_evaluator
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=2)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4))
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2, max_keep_ckpts=-1))
randomness = dict(seed=0)
"""


@dataclass(frozen=True)
class Trained:
    config: Path
    work_dir: Path
    report: Callable[[Sequence[str]], int]


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Trained:
    """Return four iterations of training, evaluated after the second and the fourth."""
    root = tmp_path_factory.mktemp('segmentor')
    write_demo_data(root / 'demo', settings=DemoSettings(images=8, size=64))
    config, work_dir = root / 'tiny.py', root / 'work'
    base = repository / 'configs' / '_base_' / 'segmentation_runtime.py'
    palette = [list(colour) for colour in PALETTE]
    text = TINY.format(base=str(base), data=str(root / 'demo'), classes=SEMANTIC_CLASSES, palette=palette)
    config.write_text(text)
    # A process of its own: a training leaves loggers and a default scope behind.
    command = [sys.executable, str(repository / 'tools' / 'train.py'), str(config), '--work-dir', str(work_dir)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    spec = importlib.util.spec_from_file_location('report_tool', repository / 'tools' / 'report.py')
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return Trained(config, work_dir, lambda argv: tool.main([str(config), str(work_dir), '--device', 'cpu', *argv]))


def logged_metrics(work_dir: Path) -> list[dict[str, float]]:
    (path,) = work_dir.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if 'mIoU' in line]


def logged_classes(work_dir: Path) -> list[dict[str, tuple[float, float]]]:
    """Return name -> (IoU, Acc) in percent from each table that mmseg printed."""
    (path,) = work_dir.glob('*/*.log')
    rows = re.findall(r'^\|\s+(\w+)\s+\|\s+([\d.]+|nan)\s+\|\s+([\d.]+|nan)\s+\|$', path.read_text(), re.MULTILINE)
    rows = [row for row in rows if row[0] != 'Class']
    count = len(SEMANTIC_CLASSES)
    tables = [rows[start : start + count] for start in range(0, len(rows), count)]
    return [{name: (float(iou), float(accuracy)) for name, iou, accuracy in table} for table in tables]


@pytest.mark.slow
def test_report_of_a_real_training(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    """Every number is the one that mmseg logged, and the picture has the data set's colours."""
    assert trained.report(['--images', '3']) == 0
    printed = capsys.readouterr().out
    work_dir = trained.work_dir
    record = json.loads((work_dir / 'report.json').read_text())
    measured, logged = record['measured'], logged_metrics(work_dir)
    assert len(logged) == 2
    for name in ('mIoU', 'mAcc', 'aAcc'):
        assert measured[name] == pytest.approx(logged[-1][name] / 100, abs=6e-5)
        assert record['last']['metrics'][name] == pytest.approx(logged[-1][name] / 100)
    assert record['last']['iteration'] == record['iterations'] == 4
    assert measured['agrees_with_log'] is True
    assert measured['source'] == '8 val images'
    classes = logged_classes(work_dir)[-1]
    assert list(classes) == list(SEMANTIC_CLASSES)
    assert sum(iou > 0 for iou, _ in classes.values()) >= 3, 'it predicts more than the background'
    for row in measured['classes']:
        for value, percent in zip((row['IoU'], row['Acc']), classes[row['name']], strict=True):
            assert (np.nan if value is None else 100 * value) == pytest.approx(percent, abs=6e-3, nan_ok=True)

    best = max(logged, key=lambda line: line['mIoU'])
    assert record['best']['iteration'] == 2 * (1 + logged.index(best))
    for line in (
        f'mIoU                   {logged[-1]["mIoU"] / 100:.3f}          {best["mIoU"] / 100:.3f}',
        f'logged mIoU         {logged[-1]["mIoU"] / 100:.3f} at 4 iterations, the same',
        f'checkpoint          {work_dir / "iter_4.pth"}',
        'iterations          4',
        'measured on         8 val images; values from 0 to 1, - where there is nothing to measure',
    ):
        assert line in printed.splitlines()
    assert re.search(r'^star +[\d.]+ +[\d.]+ +0\.\d{3}$', printed, re.MULTILINE)
    assert printed.splitlines()[-2:] == [str(work_dir / 'curves.png'), str(work_dir / 'segmentation.png')]
    check_picture(trained)


def check_picture(trained: Trained) -> None:
    """Images 0, 4 and 7 are shown; the maps of truth are those on disk."""
    pixels = np.asarray(Image.open(trained.work_dir / 'segmentation.png').convert('RGB'))
    grid = SheetGrid(panel=(400, 400), panels=3, columns=2, rows=2)
    assert pixels.shape[:2] == grid.size[::-1]
    for index, number in enumerate((0, 4, 7)):
        with Image.open(trained.config.parent / 'demo' / 'semantic' / 'val' / f'{number:06d}.png') as stored:
            labels = np.asarray(stored)
        x, y = grid.corner(index, 1)
        for row in range(0, 64, 3):
            for column in range(0, 64, 3):
                place = y + int((row + 0.5) * 400 / 64), x + int((column + 0.5) * 400 / 64)
                assert tuple(pixels[place]) == PALETTE[labels[row, column]]
        x, y = grid.corner(index, 2)
        answered = {tuple(colour) for colour in pixels[y : y + 400, x : x + 400].reshape(-1, 3).tolist()}
        assert answered <= set(PALETTE)


@pytest.mark.slow
def test_an_earlier_checkpoint_is_compared_with_its_own_evaluation(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained.report(['--checkpoint', str(trained.work_dir / 'iter_2.pth')]) == 0
    first, last = (line['mIoU'] / 100 for line in logged_metrics(trained.work_dir))
    assert abs(first - last) > 2 * TOLERANCE, 'the two evaluations can be told apart'
    assert f'logged mIoU         {first:.3f} at 2 iterations, the same' in capsys.readouterr().out.splitlines()


@pytest.mark.slow
def test_other_data_is_noticed_but_in_the_test_split(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    """The training's own images in place of those that it was evaluated on; nothing was logged on the test split."""
    prefixes = ('img_path=train', 'seg_map_path=semantic/train')
    for split in ('val', 'test'):
        options = [f'{split}_dataloader.dataset.data_prefix.{item}' for item in prefixes]
        assert trained.report(['--split', split, '--cfg-options', *options]) == 0
        out = capsys.readouterr().out
        record = json.loads((trained.work_dir / 'report.json').read_text())['measured']
        assert f'measured on         8 {split} images' in out
        assert ('at 4 iterations, NOT the same' in out) is (split == 'val')
        assert record['agrees_with_log'] is (False if split == 'val' else None)


@pytest.mark.slow
def test_a_score_threshold_is_refused(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained.report(['--score-thr', '0.3']) == 2
    assert capsys.readouterr().err == 'error: --score-thr 0.3 is for detectors; leave it out\n'
