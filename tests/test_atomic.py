"""A file or folder that is being replaced has its old content or its new one, whatever happens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from resnest_mm.atomic import replacing, replacing_folder
from tests.support.hostile_files import files_in


@pytest.mark.parametrize('old', [None, b'old'], ids=['new', 'replaced'])
@pytest.mark.parametrize('error', [OSError('disk full'), KeyboardInterrupt()], ids=['error', 'interrupt'])
def test_a_file_is_replaced_completely_or_not_at_all(old: bytes | None, error: BaseException, tmp_path: Path) -> None:
    """The temporary file never stays."""
    path = tmp_path / 'file'
    if old is not None:
        path.write_bytes(old)
    before = files_in(tmp_path)
    with pytest.raises(type(error)), replacing(path) as temporary:
        temporary.write_bytes(b'half')
        raise error
    assert files_in(tmp_path) == before
    with replacing(path) as temporary:
        temporary.write_bytes(b'new')
        assert path.exists() == (old is not None)
    assert files_in(tmp_path) == {str(path): b'new'}


@pytest.mark.parametrize('exists', [False, True], ids=['new', 'replaced'])
@pytest.mark.parametrize('error', [OSError('disk full'), KeyboardInterrupt()], ids=['error', 'interrupt'])
def test_a_folder_is_replaced_completely_or_not_at_all(exists: bool, error: BaseException, tmp_path: Path) -> None:
    """Neither a temporary folder nor new parents stay after a failure."""
    path = tmp_path / 'a' / 'b'
    if exists:
        path.mkdir(parents=True)
        (path / 'old').write_bytes(b'old')
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(type(error)), replacing_folder(path) as folder:
        (folder / 'half').write_bytes(b'half')
        raise error
    assert sorted(tmp_path.rglob('*')) == before
    with replacing_folder(path) as folder:
        assert list(folder.iterdir()) == []
        (folder / 'new').write_bytes(b'new')
    assert sorted(tmp_path.rglob('*')) == [path.parent, path, path / 'new']


def test_a_folder_is_put_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two renames the old folder is away; a failure there must not lose it."""
    path = tmp_path / 'folder'
    path.mkdir()
    (path / 'old').write_bytes(b'old')
    rename = os.rename

    def refuse_the_new_folder(source: Any, target: Any) -> None:
        if Path(source).name == 'new':
            raise PermissionError('no')
        rename(source, target)

    monkeypatch.setattr(os, 'rename', refuse_the_new_folder)
    with pytest.raises(PermissionError), replacing_folder(path):
        pass
    assert files_in(tmp_path) == {str(path / 'old'): b'old'}


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    """The folder that the link names is replaced."""
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'link').symlink_to('folder')
    with replacing_folder(tmp_path / 'link') as folder:
        (folder / 'new').write_bytes(b'new')
    assert (tmp_path / 'link').is_symlink()
    assert (tmp_path / 'folder' / 'new').read_bytes() == b'new'
