"""What users hold on to is as it was: state-dict keys, registered names, configs, tools and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.stable_names import STORED, differences, observe


def test_nothing_that_users_hold_on_to_has_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint key, a registered name, a config value, an option or an exit code changes on purpose or not at all.

    After a change on purpose: python -m tests.support.stable_names > tests/stable_names.json
    """
    pytest.importorskip('mmdet')
    pytest.importorskip('mmseg')
    monkeypatch.chdir(tmp_path)
    stored = json.loads(STORED.read_text(encoding='utf-8'))
    assert list(differences(stored, json.loads(json.dumps(observe())))) == []
