"""A damaged checkpoint is told by its checksums before anything of it is used."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from resnest_mm.weights.io.damage import find_damage


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    file = tmp_path / 'weights.pth'
    torch.save({'conv1.weight': torch.arange(1000.0)}, file)
    return file


@pytest.mark.parametrize('legacy', [False, True])
def test_a_whole_file_has_no_damage(tmp_path: Path, legacy: bool) -> None:
    file = tmp_path / 'weights.pth'
    torch.save({'conv1.weight': torch.arange(1000.0)}, file, _use_new_zipfile_serialization=not legacy)
    assert find_damage(file) is None


def test_one_changed_bit_of_a_tensor_is_found(saved: Path) -> None:
    """Torch loads such a file without a word, with one weight changed."""
    with zipfile.ZipFile(saved) as archive:
        member = next(info for info in archive.infolist() if info.filename.endswith('data/0'))
    content = bytearray(saved.read_bytes())
    place = content.index(torch.arange(1000.0).numpy().tobytes()) + 2000
    content[place] ^= 1
    saved.write_bytes(content)
    assert torch.load(saved)['conv1.weight'].shape == (1000,)
    assert find_damage(saved) == f'its part {member.filename} does not have the checksum that was written with it'


@pytest.mark.parametrize('size', [1, 100, 4000])
def test_a_cut_file_is_found(saved: Path, size: int) -> None:
    saved.write_bytes(saved.read_bytes()[:-size])
    assert find_damage(saved) == 'it is cut short or damaged'


@pytest.mark.parametrize(('content', 'damage'), [(b'', 'it is empty'), (b'<html>', 'it is a web page')])
def test_a_file_that_is_no_checkpoint_at_all_is_found(tmp_path: Path, content: bytes, damage: str) -> None:
    file = tmp_path / 'weights.pth'
    file.write_bytes(content)
    assert find_damage(file) == damage
