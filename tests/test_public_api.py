"""The public names: adding or removing one is a decision, made here and in the changelog."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

import resnest_mm

PUBLIC_NAMES = ['MODELS', 'ResNeSt', 'SplitAttention', '__version__', 'config_path', 'list_configs']


def test_public_names_are_exactly_these() -> None:
    """A name that appears or vanishes unnoticed would break users later."""
    assert sorted(resnest_mm.__all__) == PUBLIC_NAMES


@pytest.mark.parametrize('name', PUBLIC_NAMES)
def test_every_public_name_resolves_and_is_listed(name: str) -> None:
    """Lazy names fail only on use, so each is used, and completion in a shell must know it."""
    assert getattr(resnest_mm, name) is getattr(resnest_mm, name)
    assert name in dir(resnest_mm)


def test_lazy_names_are_the_objects_of_their_modules() -> None:
    """The short name must be the registered class itself, since isinstance and the registry compare identities."""
    from resnest_mm.models import ResNeSt
    from resnest_mm.models.split_attention import SplitAttention
    from resnest_mm.registry import MODELS

    assert resnest_mm.ResNeSt is ResNeSt is MODELS.get('ResNeSt')
    assert resnest_mm.SplitAttention is SplitAttention
    assert resnest_mm.MODELS is MODELS


def test_an_unknown_name_is_an_attribute_error() -> None:
    """hasattr and star imports rely on AttributeError with the usual words."""
    with pytest.raises(AttributeError, match="module 'resnest_mm' has no attribute 'ResNest'"):
        resnest_mm.ResNest  # noqa: B018


def test_the_version_is_the_one_in_pyproject(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version has one home; a checkout that was never installed reads the same one."""
    stated = re.search(r'^version = "(.+)"$', (repository / 'pyproject.toml').read_text(), flags=re.MULTILINE)
    assert stated
    assert resnest_mm.__version__ == stated[1]

    def not_installed(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, 'version', not_installed)
    assert resnest_mm.paths.package_version() == stated[1]
