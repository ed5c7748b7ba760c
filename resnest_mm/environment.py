"""The installed packages: their versions, whether they can be imported, and which versions the hosts accept.

`resnest_mm.check` finds the problems in it. This process imports none of the packages.
"""

from __future__ import annotations

import ast
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from packaging.version import Version

DISTRIBUTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    'torch': ('torch',),
    'numpy': ('numpy',),
    'mmengine': ('mmengine', 'mmengine-lite', 'onedl-mmengine'),
    'mmcv': ('mmcv', 'mmcv-lite', 'mmcv-full', 'onedl-mmcv'),
    'mmdet': ('mmdet', 'onedl-mmdetection'),
    'mmseg': ('mmsegmentation', 'onedl-mmsegmentation'),
    'resnest_mm': ('resnest_mm',),
}
"""Import names and the distributions that provide them."""

HELPERS: Final = ('ftfy', 'regex', 'pkg_resources')
"""Modules that mmengine and mmseg import without declaring them."""

OPS: Final = 'mmcv._ext'
"""mmcv's compiled ops. If mmcv renames this private module, every mmcv seems to lack its ops."""


@dataclass(frozen=True)
class AcceptedVersions:
    """Versions of a package that a host accepts when it is imported: `minimum <= version < maximum`.

    Args:
        host: Import name of the host.
        package: Import name of the package.
        minimum: Lowest version.
        maximum: First version that is too new.
    """

    host: str
    package: str
    minimum: str
    maximum: str

    def __contains__(self, version: str) -> bool:
        """Return whether the host accepts a version.

        A release candidate is older than its release, as for the hosts. `packaging.specifiers` would leave it out.
        """
        return Version(self.minimum) <= Version(version) < Version(self.maximum)


@dataclass(frozen=True)
class Environment:
    """The packages and devices of an interpreter.

    Args:
        python: Version of the interpreter.
        distributions: Import name to the installed distributions that provide it, each with its version.
        import_errors: Import name (also `mmcv._ext`) to the first line of its error, for modules whose import fails.
        accepted: Versions of mmcv and mmengine that the installed hosts accept.
        helpers: Modules of `HELPERS` that can be imported.
        needs_pkg_resources: Whether the installed mmengine imports `pkg_resources`.
        torch_cuda: CUDA version of the torch build; empty for a CPU build.
        ops_cuda: CUDA version of mmcv's ops; empty for CPU ops and where the ops do not load.
        gpus: Names of the GPUs that torch finds.
        nvcc: Whether there is a CUDA compiler.
    """

    python: str
    distributions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    import_errors: Mapping[str, str] = field(default_factory=dict)
    accepted: tuple[AcceptedVersions, ...] = ()
    helpers: tuple[str, ...] = ()
    needs_pkg_resources: bool = False
    torch_cuda: str = ''
    ops_cuda: str = ''
    gpus: tuple[str, ...] = ()
    nvcc: bool = False

    def version(self, name: str) -> str | None:
        """Return the installed version of an import name, or None."""
        return next(iter(self.distributions.get(name, {}).values()), None)


def read_environment() -> Environment:
    """Return the environment of this interpreter; a child process imports the packages, which takes some seconds."""
    errors, facts = import_in_child(('torch', 'numpy', 'mmengine', 'mmcv', OPS, 'mmdet', 'mmseg'))
    sources = {host: _read_source(host, '__init__.py') for host in ('mmdet', 'mmseg')}
    return Environment(
        python=platform.python_version(),
        distributions={name: _versions(candidates) for name, candidates in DISTRIBUTIONS.items()},
        import_errors=errors,
        accepted=tuple(accepted for host, source in sources.items() for accepted in read_accepted(host, source)),
        helpers=tuple(name for name in HELPERS if find_spec(name) is not None),
        needs_pkg_resources=_needs_pkg_resources(),
        torch_cuda=facts.get('torch_cuda', ''),
        ops_cuda=facts.get('ops_cuda', ''),
        gpus=tuple(facts.get('gpus', '').splitlines()),
        nvcc=_has_nvcc(),
    )


def read_accepted(host: str, source: str) -> Iterable[AcceptedVersions]:
    """Yield the versions of mmcv and mmengine that a host accepts, read from its code without running it.

    The hosts keep them in constants that are no public API: `mmcv_maximum_version` in mmdet, `MMCV_MAX` in mmseg. If a
    host renames them nothing is yielded, and its own error at import is shown instead.

    Args:
        host: Import name of the host.
        source: Text of its `__init__.py`.
    """
    bounds: dict[tuple[str, str], str] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named = re.fullmatch(r'(mmcv|mmengine)_(min|max)(?:imum_version)?', node.targets[0].id.lower())
            if named and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                bounds[named[1], named[2]] = node.value.value
    for package in ('mmcv', 'mmengine'):
        if (package, 'max') in bounds:
            yield AcceptedVersions(host, package, bounds.get((package, 'min'), '0'), bounds[package, 'max'])


def _versions(candidates: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in candidates:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _read_source(package: str, file: str) -> str:
    spec = find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    return path.read_text(encoding='utf-8') if path and path.is_file() else ''


def _needs_pkg_resources() -> bool:
    """Return whether mmengine imports `pkg_resources`, which it does in `mmengine/utils/package_utils.py`.

    If mmengine moves that private file, the answer is False, and a missing `pkg_resources` is an error at import.
    """
    return 'pkg_resources' in _read_source('mmengine', 'utils/package_utils.py')


def _has_nvcc() -> bool:
    home = os.environ.get('CUDA_HOME') or os.environ.get('CUDA_PATH')
    return Path(home, 'bin', 'nvcc').exists() if home else shutil.which('nvcc') is not None


_CHILD: Final = """
import importlib, json, sys
def send(name, value): print(json.dumps([name, value]), file=sys.__stdout__, flush=True)
for name in sys.argv[1:]:
    try:
        module = importlib.import_module(name)
    except BaseException as error:
        lines = str(error).strip().splitlines() or ['']
        send(name, f'{type(error).__name__}: {lines[0]}')
        continue
    send(name, '')
    if name == 'torch':
        send('/torch_cuda', module.version.cuda or '')
        count = module.cuda.device_count() if module.cuda.is_available() else 0
        send('/gpus', '\\n'.join(module.cuda.get_device_name(index) for index in range(count)))
    if name == 'mmcv._ext':
        built = module.get_compiling_cuda_version()
        send('/ops_cuda', '' if built == 'not available' else built)
"""


def import_in_child(names: tuple[str, ...]) -> tuple[dict[str, str], dict[str, str]]:
    """Import modules in another process, because a broken extension can end the interpreter.

    Args:
        names: Modules to import, in this order.

    Returns:
        The first line of the error for each module whose import fails, and facts by name: `torch_cuda`, `gpus` and
        `ops_cuda`. The last one comes from the function of `mmcv._ext` behind `mmcv.ops.get_compiling_cuda_version`.
    """
    child = subprocess.run([sys.executable, '-c', _CHILD, *names], capture_output=True, text=True, check=False)
    received = dict(json.loads(line) for line in child.stdout.splitlines() if line.startswith('["'))
    ended = f'the interpreter ended with exit code {child.returncode} before or while importing it'
    errors = {name: received.get(name, ended) for name in names}
    return {name: error for name, error in errors.items() if error}, {
        name[1:]: value for name, value in received.items() if name.startswith('/')
    }
