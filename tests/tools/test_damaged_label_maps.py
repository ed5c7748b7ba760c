"""Damaged label maps end every tool with one line and exit code 2 before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from resnest_mm.errors import UserError
from resnest_mm.report.predictions.segmentor import predict_segmentor
from tests.support.label_data import LabelData

pytest.importorskip('mmseg', reason='runs the pipelines of mmseg')

Tool = Callable[[str, Sequence[str]], int]


class Run:
    """A damaged data set, a config, a checkpoint, and a folder in which nothing may appear."""

    def __init__(self, root: Path) -> None:
        self.data = LabelData(root / 'data')
        self.config, self.checkpoint, self.out = root / 'own.py', root / 'own.pth', root / 'out'

    def write(self, cfg: Config) -> None:
        cfg.dump(self.config)

    def save(self, cfg: Config) -> None:
        with DefaultScope.overwrite_default_scope('mmseg'):
            torch.save({'state_dict': MODELS.build(cfg.model).state_dict()}, self.checkpoint)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def read_error(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line on stderr."""
    (line,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith('error')]
    return line


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    'cut': (lambda path: path.write_bytes(path.read_bytes()[:150]), 'label maps cannot be read'),
    'missing': (lambda path: path.unlink(), 'label maps do not exist'),
}


@pytest.mark.parametrize('case', DAMAGE)
@pytest.mark.parametrize('split', ['train', 'val'])
def test_train(case: str, split: str, run: Run, tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    """A training does not stop after hours at the one damaged map."""
    damage, text = DAMAGE[case]
    damage(run.data.map(split, 2))
    run.write(run.data.config())
    assert tool('train', [str(run.config), '--work-dir', str(run.out)]) == 2
    assert text in read_error(capsys)
    assert not run.out.exists()


def test_every_fault_is_listed_before_the_training(run: Run, tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    """A user corrects all of them in one go."""
    for damage, _ in DAMAGE.values():
        damage(next(path for path in run.data.maps() if path.stat().st_size))
    run.data.write(np.full((16, 24), 9, np.uint8), index=4)
    run.data.write(run.data.labels()[:, ::2], 'val')
    run.data.image('train', 5).write_bytes(b'')
    run.data.image('val', 1).unlink()
    cfg = run.data.config()
    cfg.model.decode_head.num_classes = 4
    run.write(cfg)
    assert tool('train', [str(run.config), '--work-dir', str(run.out)]) == 2
    printed = capsys.readouterr().out
    for text in (
        'label maps do not exist',
        '1 of 5 label maps hold values that are no class',
        'label maps are of another size',
        'image files cannot be read',
        'label maps have no image',
        'num_classes=4',
    ):
        assert text in printed
    assert not run.out.exists()


@pytest.mark.parametrize('case', DAMAGE)
def test_test(case: str, run: Run, tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    """A test stops before it computes."""
    damage, text = DAMAGE[case]
    damage(run.data.map('val'))
    cfg = run.data.config()
    run.save(cfg)
    run.write(cfg)
    assert tool('test', [str(run.config), str(run.checkpoint), '--work-dir', str(run.out)]) == 2
    assert text in read_error(capsys)
    assert not run.out.exists()


@pytest.mark.parametrize('case', DAMAGE)
def test_report(case: str, run: Run) -> None:
    """The predictions of a report name the damaged file; the report writes only after them."""
    DAMAGE[case][0](run.data.map('val', 1))
    cfg = run.data.config()
    run.save(cfg)
    with pytest.raises(UserError, match=r'the val data cannot be loaded: image 1 \(.*images/val/1\.png\)'):
        predict_segmentor(cfg, run.checkpoint, split='val', count=2, device='cpu')


@pytest.mark.parametrize('skipped', [False, True])
def test_report_tool(skipped: bool, run: Run, tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    """A report does not measure wrong labels: the data is checked first, unless a user asks for no check."""
    run.data.map('val').write_bytes(run.data.map('val').read_bytes()[:-20])  # Pillow reads it without a word
    run.write(run.data.config())
    run.out.mkdir()
    option = ['--no-data-check'] if skipped else []
    assert tool('report', [str(run.config), str(run.out), *option]) == 2
    assert ('label maps cannot be read' in read_error(capsys)) is not skipped
    assert not list(run.out.iterdir())


@pytest.mark.parametrize('case', DAMAGE)
def test_browse(case: str, run: Run, tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the check browsing shows what the pipeline gives, wrong labels too, and stops where it gives nothing."""
    DAMAGE[case][0](run.data.map())
    run.write(run.data.config())
    assert tool('browse_dataset', [str(run.config), str(run.out)]) == 2
    assert 'label maps' in read_error(capsys)
    assert tool('browse_dataset', [str(run.config), str(run.out), '--no-data-check']) == 2
    assert 'image 0 of the data set: step 2 LoadAnnotations' in read_error(capsys)
    assert not run.out.exists()


def test_images_and_classes_with_odd_names_are_drawn(run: Run, tool: Tool) -> None:
    """A picture's name is cut to what file systems hold, with control characters replaced."""
    for path, kind in ((run.data.image(), 'images'), (run.data.map(), 'labels')):
        path.rename(run.data.root / kind / 'train' / f'a\n\x1b[2J{240 * "b"}.png')
    run.write(run.data.config(both={'metainfo': {'classes': ('road', '<b>\n', '\x1b[2J')}}))
    assert tool('browse_dataset', [str(run.config), str(run.out)]) == 0
    assert len(list(run.out.iterdir())) == 8
    assert all(path.name.isprintable() for path in run.out.iterdir())
