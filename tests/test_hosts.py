"""A host that is installed but refuses to load costs its own parts and nothing else."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest

from resnest_mm.hosts import host_imports


def test_a_host_that_loads_is_reported_without_a_word() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert host_imports('json') is True


@pytest.mark.parametrize('failure', ['AssertionError', 'ImportError'])
def test_a_host_that_refuses_is_named_with_its_own_reason(
    failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'refusing_host.py').write_text(f"raise {failure}('mmcv 9 is too new')\n", encoding='utf-8')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, 'refusing_host', raising=False)
    with pytest.warns(UserWarning, match=r'refusing_host .* \(mmcv 9 is too new\).*resnest_mm.check'):
        assert host_imports('refusing_host') is False
