"""`--resume` without a path finds the newest whole training checkpoint, whatever happened to the work_dir."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from resnest_mm.errors import UserError
from resnest_mm.training.safety.resume import apply_newest_checkpoint, find_newest, set_aside
from tests.support.projects import Project

Tool = Callable[[str, Sequence[str]], int]


def save(folder: Path, name: str, *, iteration: int, time: str = '20260101_000000', **entries: Any) -> Path:
    folder.mkdir(exist_ok=True)
    meta = {'epoch': iteration // 2, 'iter': iteration, 'time': time}
    content = {'meta': meta, 'state_dict': {'weight': torch.full((100,), float(iteration))}, 'message_hub': {}}
    torch.save({**content, **entries}, folder / name)
    return folder / name


def note(folder: Path, text: str) -> None:
    (folder / 'last_checkpoint').write_text(text, encoding='utf-8')


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[content.index(b'\x00\x00\x40\x40') + 8] ^= 1  # in the 3.0 of iteration 3
    file.write_bytes(content)


def empty(file: Path) -> None:
    file.write_bytes(b'')


@pytest.mark.parametrize(('damage', 'why'), [(cut, 'cut short'), (flip, 'checksum'), (empty, 'empty')])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(
    damage: Callable[[Path], None], why: str, tmp_path: Path
) -> None:
    """Also where only one bit differs; setting it aside keeps it, and never replaces a file."""
    whole, damaged = save(tmp_path, 'epoch_1.pth', iteration=2), save(tmp_path, 'epoch_2.pth', iteration=3)
    note(tmp_path, str(damaged))
    damage(damaged)
    content = damaged.read_bytes()
    (tmp_path / 'epoch_2.pth.damaged').write_text('of an earlier time')
    start = find_newest(tmp_path)
    assert (start.checkpoint, start.damaged) == (str(whole), (damaged,))
    assert why in start.notes[0] and 'becomes epoch_2.pth.damaged-2' in start.notes[0]
    assert start.notes[1] == f'--resume: {whole} is the newest whole checkpoint; training continues from it'
    set_aside(start.damaged)
    assert (tmp_path / 'epoch_2.pth.damaged-2').read_bytes() == content
    assert not damaged.exists()


@pytest.mark.parametrize('text', ['', '\n', '\x00' * 40, '/elsewhere/run/epoch_1.pth', 'gone.pth'])
def test_a_useless_last_checkpoint_does_not_matter(text: str, tmp_path: Path) -> None:
    """Empty, zeros as after a power failure, one that is older, and names of another place or of nothing."""
    save(tmp_path, 'epoch_1.pth', iteration=2)
    newest = save(tmp_path, 'epoch_2.pth', iteration=4)
    note(tmp_path, text)
    assert find_newest(tmp_path).checkpoint == str(newest)


def test_newer_is_what_was_saved_later(tmp_path: Path) -> None:
    """Not the file that was copied later, nor that of a longer training before; iterations decide within a second."""
    second = save(tmp_path, 'epoch_10.pth', iteration=20, time='20260202_000000')
    save(tmp_path, 'epoch_12.pth', iteration=24, time='20260101_000000')
    save(tmp_path, 'epoch_9.pth', iteration=18, time='20260202_000000')
    os.utime(second, (1, 1))
    assert find_newest(tmp_path).checkpoint == str(second)


def test_only_checkpoints_of_trainings_count(tmp_path: Path) -> None:
    """The best checkpoint has no optimizer, and other weights have no iteration; they are not renamed either."""
    first = save(tmp_path, 'interrupted_iter_3.pth', iteration=3)
    save(tmp_path, 'best_mAP_epoch_9.pth', iteration=9)
    torch.save({'state_dict': {}}, tmp_path / 'pretrained.pth')
    assert find_newest(tmp_path).checkpoint == str(first)
    assert find_newest(tmp_path).damaged == ()


def test_a_checkpoint_that_torch_refuses_is_not_passed_over(tmp_path: Path) -> None:
    """An older one would lose iterations without a word; the checks say what it holds."""
    save(tmp_path, 'epoch_1.pth', iteration=2)
    refused = save(tmp_path, 'epoch_2.pth', iteration=4, hook=Path('an object'))
    note(tmp_path, str(refused))
    assert find_newest(tmp_path).checkpoint == str(refused)


def test_a_folder_for_checkpoints_is_searched(tmp_path: Path) -> None:
    """mmengine's `out_dir` has a folder with the name of the work_dir; `last_checkpoint` may also name it."""
    (tmp_path / 'run').mkdir()
    (tmp_path / 'out').mkdir()
    checkpoint = save(tmp_path / 'out' / 'run', 'epoch_1.pth', iteration=2)
    assert find_newest(tmp_path / 'run', out_dir=tmp_path / 'out').checkpoint == str(checkpoint)
    note(tmp_path / 'run', str(checkpoint))
    assert find_newest(tmp_path / 'run').checkpoint == str(checkpoint)
    note(tmp_path / 'run', 's3://bucket/run/epoch_7.pth')
    assert find_newest(tmp_path / 'run').checkpoint == 's3://bucket/run/epoch_7.pth'


def test_a_vanished_checkpoint_is_refused(tmp_path: Path) -> None:
    """A disk that is not mounted shall not cost the training that is on it."""
    note(tmp_path, '/unmounted/run/epoch_7.pth')
    with pytest.raises(UserError, match=r'last_checkpoint names /unmounted/run/epoch_7.pth, which does not exist'):
        find_newest(tmp_path)


def test_without_a_whole_checkpoint_the_training_starts_anew(tmp_path: Path) -> None:
    """mmengine must not resume from what is set aside."""
    empty(damaged := save(tmp_path, 'epoch_1.pth', iteration=2))
    note(tmp_path, str(damaged))
    cfg, start = apply_newest_checkpoint(Config({'resume': True, 'work_dir': str(tmp_path)}))
    assert (cfg.resume, cfg.get('load_from')) == (False, None)
    assert start.damaged == (damaged,)
    assert start.notes == (f'--resume: {damaged} is damaged (it is empty) and becomes epoch_1.pth.damaged',)


def test_an_empty_last_checkpoint_alone_is_no_checkpoint(tmp_path: Path) -> None:
    """mmengine would resume from a file with an empty name."""
    note(tmp_path, '')
    cfg, start = apply_newest_checkpoint(Config({'resume': True, 'work_dir': str(tmp_path)}))
    assert (cfg.resume, cfg.get('load_from'), start.checkpoint) == (False, None, None)


def test_a_moved_training_continues_and_keeps_its_damaged_files(
    project: Project, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """From start to end: two epochs, the folder is moved, the second checkpoint is cut, and the third epoch follows."""
    config = str(project.config('train_cfg = dict(by_epoch=True, max_epochs=2)\n'))
    assert tool('train', [config, '--work-dir', 'run']) == 0
    shutil.move('run', 'moved')
    cut(Path('moved/epoch_2.pth'))
    assert tool('train', [config, '--work-dir', 'moved', '--resume']) == 0
    out = capsys.readouterr().out
    assert '--resume: moved/epoch_2.pth is damaged (it is cut short or damaged) and becomes epoch_2.pth.damaged' in out
    assert 'resumed epoch: 1, iter: 2' in out
    assert sorted(path.name for path in Path('moved').glob('*.pth*')) == [
        'epoch_1.pth',
        'epoch_2.pth',
        'epoch_2.pth.damaged',
    ]


def test_a_damaged_checkpoint_that_is_named_is_refused(
    project: Project, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The user chose it, so another one would be a surprise."""
    cut(save(project.cwd, 'a.pth', iteration=2))
    before = project.files()
    assert tool('train', [str(project.config()), '--work-dir', 'run', '--resume', 'a.pth']) == 2
    assert 'error: --resume: a.pth is ' in (err := capsys.readouterr().err) and err.count('\n') == 1
    assert {name for name in project.files() if not name.endswith('.py')} == set(before)
