"""A damaged checkpoint is told by its checksums before anything of it is used."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from resnest_mm.weights.io.damage import find_damage, holds_checksums


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


def test_an_archive_without_checksums_is_known_as_such(tmp_path: Path, saved: Path) -> None:
    """Torch writes zeros in their place if it is told to write none; they are not compared with the content."""
    without = tmp_path / 'without.pth'
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({'conv1.weight': torch.arange(1000.0)}, without)
    finally:
        torch.serialization.set_crc32_options(True)
    assert find_damage(without) is None
    assert holds_checksums(saved)
    assert not holds_checksums(without)


def test_an_archive_with_a_part_twice_is_refused(saved: Path) -> None:
    """Torch reads one of the two, and other tools the other."""
    with zipfile.ZipFile(saved, 'a') as archive, pytest.warns(UserWarning, match='Duplicate name'):
        archive.writestr('weights/data/0', bytes(4000))
    assert find_damage(saved) == 'it has 1 parts twice, e.g. weights/data/0'


def claim(file: Path, *, size: int, packed: bool) -> None:
    """Let the one part of an archive claim a size; what it has is packed in a few bytes."""
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, 'w', kind) as archive:
        archive.writestr('a/data.pkl', bytes(100_000))
    content = bytearray(file.read_bytes())
    place = content.rindex(b'PK\x01\x02')
    content[place + 24 : place + 28] = size.to_bytes(4, 'little')
    file.write_bytes(content)


@pytest.mark.parametrize('packed', [False, True])
def test_an_archive_that_claims_gigabytes_is_refused_unread(packed: bool, tmp_path: Path) -> None:
    file = tmp_path / 'large.pth'
    claim(file, size=2**32 - 2, packed=packed)
    damage = find_damage(file)
    assert damage is not None
    assert damage.startswith('its part a/data.pkl claims 4294967294 bytes, but has ')
