"""What the code imports is what pyproject.toml declares and constraints.txt pins."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest

tomllib = pytest.importorskip('tomllib', reason='Python 3.10 has no parser for TOML')

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / 'pyproject.toml').read_text(encoding='utf-8'))['project']
NAMES = {'PIL': 'pillow', 'cv2': 'opencv-python', 'mmseg': 'mmsegmentation', 'yaml': 'pyyaml'}
"""Distribution of an import whose name is another one."""
NOT_DECLARED = {'panopticapi', 'resnest'}
"""Their own requirements are out of date, so tools/setup_environment.py installs them without."""


def imports_of(path: Path) -> Iterator[str]:
    """Yield the first part of every absolute import of a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition('.')[0]


def normalised(requirement: str) -> str:
    """Return the name in a requirement, in the spelling that all of pip's tools agree on."""
    found = re.match(r'[\w.-]+', requirement)
    assert found, requirement
    return re.sub(r'[-_.]+', '-', found[0]).lower()


EXTRAS: dict[str, list[str]] = PROJECT['optional-dependencies']
DECLARED = {normalised(each) for group in (PROJECT['dependencies'], *EXTRAS.values()) for each in group}
PINNED = {
    normalised(line)
    for line in (REPOSITORY / 'constraints.txt').read_text(encoding='utf-8').splitlines()
    if not line.startswith('#')
}


def test_every_imported_package_is_declared() -> None:
    """A package that comes along with another one may leave with it."""
    files = [path for folder in ('resnest_mm', 'tools') for path in (REPOSITORY / folder).rglob('*.py')]
    imported = {name for path in files for name in imports_of(path)} - sys.stdlib_module_names - {'resnest_mm'}
    missing = {name for name in imported - NOT_DECLARED if normalised(NAMES.get(name, name)) not in DECLARED}
    assert len(imported) > 10 and missing == set()


def test_what_every_user_installs_is_imported() -> None:
    """A dependency that no code needs any more is installed for nothing."""
    imported = {
        NAMES.get(name, name) for path in (REPOSITORY / 'resnest_mm').rglob('*.py') for name in imports_of(path)
    }
    assert {normalised(each) for each in PROJECT['dependencies']} - {normalised(name) for name in imported} == set()


def test_every_declared_package_is_pinned() -> None:
    """`make setup` builds the environment that the tests ran in; OneDL's packages are another one."""
    ours = {name for name in DECLARED if not name.startswith('onedl-') and name != 'resnest-mm'}
    assert ours - PINNED == set()


def test_what_declared_packages_require_is_pinned() -> None:
    """Without a pin, a later release of an indirect requirement changes the environment."""
    # What torch requires differs between its CPU and its CUDA builds; mutmut is installed by `make mutants` alone.
    reached = {'torch', 'mutmut'}
    waiting = sorted((DECLARED & PINNED) - reached)
    while waiting:
        name = waiting.pop()
        reached.add(name)
        needed = [each for each in requires(name) or [] if 'extra ==' not in each and not other_platform(each)]
        waiting += sorted({normalised(each) for each in needed} - reached)
    assert reached - PINNED == set()


def other_platform(requirement: str) -> bool:
    """Return whether a requirement is for another system or another Python than this one."""
    from packaging.requirements import Requirement

    marker = Requirement(requirement).marker
    return marker is not None and not marker.evaluate({'extra': ''})


def test_the_hosts_get_an_mmcv_that_they_accept() -> None:
    """mmdet 3.3 and mmseg 1.2 refuse mmcv 2.2 at their import, which pip cannot know."""
    assert [each for each in EXTRAS['openmmlab'] if each.startswith('mmcv')] == ['mmcv>=2.0.0,<2.2']
    for host in ('det', 'seg'):
        assert any(each.startswith('resnest_mm[openmmlab') for each in EXTRAS[host])
