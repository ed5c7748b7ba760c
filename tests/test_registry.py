"""The scope `resnest_mm` reaches every host by itself and changes none."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import mmengine.registry
import pytest

from resnest_mm import registry

Run = Callable[..., subprocess.CompletedProcess[str]]
NAMES = ['DATASETS', 'HOOKS', 'METRICS', 'MODELS', 'TASK_UTILS', 'TRANSFORMS', 'WEIGHT_INITIALIZERS']


@pytest.mark.parametrize('name', NAMES)
def test_each_registry_is_a_child_of_its_root(name: str) -> None:
    """Hosts find the scope only through the root of the same kind."""
    ours, root = getattr(registry, name), getattr(mmengine.registry, name)
    assert (ours.parent, ours.scope, ours.name) == (root, 'resnest_mm', root.name)
    assert root.children['resnest_mm'] is ours


def test_locations_hold_only_what_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """mmengine raises on a location it cannot import, so a part whose host is absent must not be listed."""
    there = {'resnest_mm', 'resnest_mm.models', 'resnest_mm.detection', 'resnest_mm.segmentation', 'mmdet'}

    def find_spec(name: str) -> object:
        if name == 'mmseg':
            raise ValueError('mmseg.__spec__ is None')
        return object() if name in there else None

    monkeypatch.setattr(registry, 'find_spec', find_spec)
    asked = ('resnest_mm.models', 'resnest_mm.engine', 'resnest_mm.detection', 'resnest_mm.segmentation')
    assert registry.locations(*asked) == ['resnest_mm.models', 'resnest_mm.detection']


@pytest.mark.parametrize(
    'host', [pytest.param('mmengine', marks=pytest.mark.slow), 'mmdet', pytest.param('mmseg', marks=pytest.mark.slow)]
)
def test_every_host_builds_by_the_full_name(host: str, fresh_python: Run) -> None:
    """A config needs no custom_imports, and having them, even twice, does no harm."""
    code = f"""
from {host}.registry import MODELS
backbone = dict(type='resnest_mm.ResNeSt', depth=14, base_channels=8)
print(type(MODELS.build(backbone)).__module__)
from mmengine.utils import import_modules_from_strings
for _ in range(2):
    import_modules_from_strings(imports=['resnest_mm', 'resnest_mm.models'], allow_failed_imports=False)
print(type(MODELS.build(backbone)).__module__)
assert backbone == dict(type='resnest_mm.ResNeSt', depth=14, base_channels=8)
"""
    lines = [line for line in fresh_python(code).stdout.splitlines() if line.startswith('resnest_mm')]
    assert lines == ['resnest_mm.models.resnest'] * 2


def test_a_bare_name_stays_the_hosts(fresh_python: Run) -> None:
    """Importing the plugin must not change what existing mmdet configs build."""
    code = """
import resnest_mm.models
from mmengine.registry import init_default_scope
from mmdet.registry import MODELS
init_default_scope('mmdet')
print(MODELS.get('ResNeSt').__module__)
print(MODELS.get('resnest_mm.ResNeSt').__module__)
"""
    assert fresh_python(code).stdout.splitlines()[-2:] == [
        'mmdet.models.backbones.resnest',
        'resnest_mm.models.resnest',
    ]
