"""A training or test starts from a checkpoint that is one, and resumes from the one that mmengine noted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.logging import HistoryBuffer

from resnest_mm.errors import UserError
from resnest_mm.training.resume import check_checkpoint, last_checkpoint
from resnest_mm.weights.io.unpickle import allow_mmengine_checkpoints
from tests.support.hostile_files import Payload
from tests.support.line_training import train_a_line


@pytest.fixture(autouse=True)
def default_globals() -> Iterator[None]:
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(before)


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the work_dir of a training with mmengine's Runner."""
    work_dir = tmp_path_factory.mktemp('trained')
    train_a_line(work_dir)
    return work_dir


def test_a_payload_is_refused_and_not_run(tmp_path: Path) -> None:
    allow_mmengine_checkpoints()
    trace = tmp_path / 'trace'
    torch.save({'state_dict': {}, 'meta': Payload(open, str(trace), 'w')}, tmp_path / 'evil.pth')
    with pytest.raises(UserError, match=r'CHECKPOINT: checkpoint .*evil.pth holds .*open.* could run code'):
        check_checkpoint(str(tmp_path / 'evil.pth'), source='CHECKPOINT')
    assert not trace.exists()


def test_an_empty_history_is_not_refused(tmp_path: Path) -> None:
    torch.save({'history': HistoryBuffer()}, tmp_path / 'empty.pth')
    allow_mmengine_checkpoints()
    check_checkpoint(str(tmp_path / 'empty.pth'), source='--resume')


def test_what_is_no_checkpoint_is_refused(tmp_path: Path, trained: Path) -> None:
    whole = (trained / 'iter_2.pth').read_bytes()
    (tmp_path / 'short.pth').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'page.pth').write_text('<html>not found</html>', encoding='utf-8')
    (tmp_path / 'empty.pth').touch()
    for name in ('short.pth', 'page.pth', 'empty.pth'):
        with pytest.raises(UserError, match=f'{name} is not a PyTorch checkpoint'):
            check_checkpoint(str(tmp_path / name), source='load_from')
    with pytest.raises(UserError, match='is a folder'):
        check_checkpoint(str(tmp_path), source='load_from')
    torch.save({'a': torch.ones(1)}, tmp_path / 'legacy.pth', _use_new_zipfile_serialization=False)
    check_checkpoint(str(tmp_path / 'legacy.pth'), source='load_from')


def test_last_checkpoint_is_the_one_mmengine_noted(trained: Path, tmp_path: Path) -> None:
    assert last_checkpoint(trained) == trained / 'iter_2.pth'
    assert last_checkpoint(tmp_path) is None
