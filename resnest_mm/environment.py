"""What is installed here: versions, what imports, what the hosts demand; this process imports none of it."""

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

DISTRIBUTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    'torch': ('torch',),
    'numpy': ('numpy',),
    'mmengine': ('mmengine', 'mmengine-lite', 'onedl-mmengine'),
    'mmcv': ('mmcv', 'mmcv-lite', 'mmcv-full', 'onedl-mmcv'),
    'mmdet': ('mmdet', 'onedl-mmdetection'),
    'mmseg': ('mmsegmentation', 'onedl-mmsegmentation'),
    'resnest_mm': ('resnest_mm',),
}
HELPERS: Final = ('ftfy', 'regex', 'pkg_resources')
OPS: Final = 'mmcv._ext'


@dataclass(frozen=True)
class Limit:
    """The versions of a package that a host accepts at its import: `minimum <= version < maximum`."""

    host: str
    package: str
    minimum: str
    maximum: str


@dataclass(frozen=True)
class Findings:
    """Everything `resnest_mm.check` judges.

    Args:
        python: The interpreter's version.
        distributions: Import name to the installed distributions that provide it, each with its version.
        import_errors: Import name (also `mmcv._ext`) to the first line of the error that importing it raised; a module
            that is not here imports.
        limits: What the installed hosts demand of mmcv and mmengine.
        helpers: Those of `HELPERS` that can be imported.
        needs_pkg_resources: Whether the installed mmengine uses `pkg_resources`.
        torch_cuda: The CUDA version torch was built with; empty for a CPU build.
        ops_cuda: The CUDA version mmcv's ops were built with; empty for CPU ops, or where they do not load.
        gpus: Names of the devices torch sees.
        nvcc: Whether a CUDA compiler is found.
    """

    python: str
    distributions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    import_errors: Mapping[str, str] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()
    helpers: tuple[str, ...] = ()
    needs_pkg_resources: bool = False
    torch_cuda: str = ''
    ops_cuda: str = ''
    gpus: tuple[str, ...] = ()
    nvcc: bool = False

    def version(self, name: str) -> str | None:
        """Return the installed version of an import name, or None."""
        return next(iter(self.distributions.get(name, {}).values()), None)


def look() -> Findings:
    """Collect the findings of this interpreter; takes the seconds that importing torch takes, in a child process."""
    errors, facts = import_in_child(('torch', 'numpy', 'mmengine', 'mmcv', OPS, 'mmdet', 'mmseg'))
    return Findings(
        python=platform.python_version(),
        distributions={name: _versions(candidates) for name, candidates in DISTRIBUTIONS.items()},
        import_errors=errors,
        limits=tuple(limit for host in ('mmdet', 'mmseg') for limit in read_limits(host, _source(host, '__init__.py'))),
        helpers=tuple(name for name in HELPERS if find_spec(name) is not None),
        needs_pkg_resources='pkg_resources' in _source('mmengine', 'utils/package_utils.py'),
        torch_cuda=facts.get('torch_cuda', ''),
        ops_cuda=facts.get('ops_cuda', ''),
        gpus=tuple(facts.get('gpus', '').splitlines()),
        nvcc=_has_nvcc(),
    )


def read_limits(host: str, source: str) -> Iterable[Limit]:
    """Read from a host's `__init__.py`, without running it, which mmcv and mmengine it accepts.

    Args:
        host: Import name of the host, for the result.
        source: The file's text; constants such as `mmcv_maximum_version` or `MMCV_MAX` are looked for.
    """
    bounds: dict[tuple[str, str], str] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named = re.fullmatch(r'(mmcv|mmengine)_(min|max)(?:imum_version)?', node.targets[0].id.lower())
            if named and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                bounds[named[1], named[2]] = node.value.value
    for package in ('mmcv', 'mmengine'):
        if (package, 'max') in bounds:
            yield Limit(host, package, bounds.get((package, 'min'), '0'), bounds[package, 'max'])


def _versions(candidates: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in candidates:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _source(package: str, file: str) -> str:
    spec = find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    return path.read_text(encoding='utf-8') if path and path.is_file() else ''


def _has_nvcc() -> bool:
    home = os.environ.get('CUDA_HOME') or os.environ.get('CUDA_PATH')
    return Path(home, 'bin', 'nvcc').exists() if home else shutil.which('nvcc') is not None


_CHILD: Final = """
import importlib, json, sys
def tell(name, value): print(json.dumps([name, value]), file=sys.__stdout__, flush=True)
for name in sys.argv[1:]:
    try:
        module = importlib.import_module(name)
    except BaseException as error:
        lines = str(error).strip().splitlines() or ['']
        tell(name, f'{type(error).__name__}: {lines[0]}')
        continue
    tell(name, '')
    if name == 'torch':
        tell('/torch_cuda', module.version.cuda or '')
        count = module.cuda.device_count() if module.cuda.is_available() else 0
        tell('/gpus', '\\n'.join(module.cuda.get_device_name(index) for index in range(count)))
    if name == 'mmcv._ext':
        built = module.get_compiling_cuda_version()
        tell('/ops_cuda', '' if built == 'not available' else built)
"""


def import_in_child(names: tuple[str, ...]) -> tuple[dict[str, str], dict[str, str]]:
    """Import in another process, since a broken extension can end the interpreter.

    Returns:
        The first line of the error of each module that does not import, and the facts told by those that do.
    """
    child = subprocess.run([sys.executable, '-c', _CHILD, *names], capture_output=True, text=True, check=False)
    told = dict(json.loads(line) for line in child.stdout.splitlines() if line.startswith('["'))
    fate = f'the interpreter ended with exit code {child.returncode} before or while importing it'
    errors = {name: told.get(name, fate) for name in names}
    return {name: error for name, error in errors.items() if error}, {
        name[1:]: value for name, value in told.items() if name.startswith('/')
    }
