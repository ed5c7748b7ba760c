"""What users hold on to is as it was: state-dict keys, registered names, configs, tools and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.stable_names import STORED, differences, observe


@pytest.mark.parametrize(
    ('group', 'before', 'now', 'found'),
    [
        ('configs', {'a': {'model': '1'}}, {'a': {'model': '1'}, 'b': {'model': '2'}}, []),
        ('configs', {'a': {'model': '1'}}, {}, ["configs > a: {'model': '1'} was, None is"]),
        ('configs', {'a': {'model': '1'}}, {'a': {'model': '2'}}, ["configs > a > model: '1' was, '2' is"]),
        ('configs', {'a': {}}, {'a': {'model': '1'}}, ["configs > a > model: None was, '1' is"]),
        ('registered names', {'MODELS': ['A']}, {'MODELS': ['A', 'B']}, []),
        (
            'registered names',
            {'MODELS': ['A']},
            {'MODELS': ['B']},
            ["registered names > MODELS: gone ['A'], new ['B']"],
        ),
        (
            'public names',
            {'resnest_mm': ['A']},
            {'resnest_mm': ['A', 'B']},
            ["public names > resnest_mm: gone [], new ['B']"],
        ),
        ('state dict keys of depth 14', ['a', 'b'], ['b', 'a'], ['state dict keys of depth 14: gone [], new []']),
    ],
)
def test_additions_are_no_differences(group: str, before: Any, now: Any, found: list[str]) -> None:
    """A contributor adds a config or a class without touching the stored list; a removal or a change is found."""
    assert list(differences({group: before}, {group: now})) == found


def test_nothing_that_users_hold_on_to_has_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint key, a registered name, a config value, an option or an exit code changes on purpose or not at all.

    After a change on purpose: python -m tests.support.stable_names > tests/stable_names.json
    """
    pytest.importorskip('mmdet')
    pytest.importorskip('mmseg')
    monkeypatch.chdir(tmp_path)
    stored = json.loads(STORED.read_text(encoding='utf-8'))
    assert list(differences(stored, json.loads(json.dumps(observe())))) == []
