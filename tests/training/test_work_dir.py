"""The folder of a run, and the last checkpoint that mmengine noted in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from resnest_mm.errors import UserError
from resnest_mm.training.work_dir import apply_work_dir, last_checkpoint
from tests.support.line_training import train_a_line


@pytest.mark.parametrize(
    ('argument', 'of_config', 'expected'),
    [('given', 'own', 'given'), (None, 'own', 'own'), (None, None, 'work_dirs/some_config')],
)
def test_work_dir_priority(
    argument: str | None, of_config: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cfg = Config({'work_dir': of_config})
    changed = apply_work_dir(cfg, argument, config_name='a/b/some_config.py')
    assert changed.work_dir == expected
    assert cfg.work_dir == of_config
    assert list(tmp_path.iterdir()) == []


def test_work_dir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'taken').touch()
    with pytest.raises(UserError, match=r'taken is a file'):
        apply_work_dir(Config(), str(tmp_path / 'taken' / 'run'), config_name='a.py')


def test_last_checkpoint_is_the_one_mmengine_noted(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    train_a_line(tmp_path)
    assert last_checkpoint(tmp_path) == tmp_path / 'iter_2.pth'
