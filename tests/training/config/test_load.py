"""Finding and parsing a config: what is wrong is one line that names the file and the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from resnest_mm.errors import UserError
from resnest_mm.training.config.load import find_config, load_config


def test_a_path_wins_and_is_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'here.py').write_text('a = 1\n', encoding='utf-8')
    monkeypatch.chdir(tmp_path)
    assert find_config('here.py') == Path('here.py')
    assert load_config('here.py').a == 1


def test_a_shipped_name_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = tmp_path / 'shipped.py'
    monkeypatch.setattr('resnest_mm.training.config.load.config_path', lambda name: {'demo/tiny': shipped}[name])
    assert find_config('demo/tiny') == shipped


def test_an_unknown_name_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        find_config('demo/faster-rcnn_s14_fpn_dmo')
    assert str(caught.value).startswith(f'config demo/faster-rcnn_s14_fpn_dmo does not exist (looked in {tmp_path})')


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('a = 1\nb = undefined + 1\n', "line 2: NameError: name 'undefined' is not defined"),
        ('a = (\n', 'SyntaxError'),
        ("_base_ = 'missing_base.py'\n", 'missing_base.py'),
        ("custom_imports = dict(imports=['no_such_module_of_ours'], allow_failed_imports=False)\n", 'no_such_module'),
        ("_base_ = 'mmnothing::_base_/default_runtime.py'\n", 'mmnothing'),
    ],
    ids=['name', 'syntax', 'base', 'import', 'package'],
)
def test_an_unparsable_config_says_why(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / 'broken.py'
    path.write_text(text, encoding='utf-8')
    with pytest.raises(UserError) as caught:
        load_config(str(path))
    assert str(caught.value).startswith(f'config {path} cannot be read: ')
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(path)) * 2


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'config.txt'
    path.write_text('a = 1\n', encoding='utf-8')
    with pytest.raises(UserError, match='cannot be read'):
        load_config(str(path))
