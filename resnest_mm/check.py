"""Check this environment and print a fix for each problem: `python -m resnest_mm.check`.

The exit code is 0 where training can work and 1 where it cannot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from packaging.version import Version

from resnest_mm.environment import DISTRIBUTIONS, OPS, Environment, read_environment

FOUNDATION: Final = ('torch', 'numpy', 'mmengine', 'mmcv')
ALLOW_CHECKPOINTS: Final = 'resnest_mm.weights.io.unpickle.allow_mmengine_checkpoints()'
BUILD_TOOLS: Final = 'pip install "setuptools<81" wheel ninja psutil'
BUILD_OPS: Final = f'{BUILD_TOOLS} && MMCV_WITH_OPS=1 pip install --no-build-isolation '
REBUILD_OPS: Final = f'{BUILD_OPS}--no-cache-dir --force-reinstall --no-deps '
INSTALL: Final = {
    'torch': 'pip install torch',
    'numpy': 'pip install numpy',
    'mmengine': 'pip install mmengine "setuptools<81"',
    'mmcv': f'{BUILD_OPS}mmcv==2.1.0',
    'mmdet': 'pip install mmdet',
    'mmseg': 'pip install mmsegmentation ftfy regex',
}
REINSTALL: Final = {
    'torch': 'pip install --force-reinstall --no-deps torch',
    'numpy': 'pip install --force-reinstall numpy',
    'mmengine': 'pip install --force-reinstall mmengine "setuptools<81"',
    'mmcv': f'{REBUILD_OPS}mmcv==2.1.0',
    'mmdet': 'pip install --force-reinstall mmdet',
    'mmseg': 'pip install --force-reinstall mmsegmentation ftfy regex',
}


@dataclass(frozen=True)
class Problem:
    """A problem of the environment.

    Args:
        text: Description of the problem.
        fix: Command that fixes it, or what to do; empty where nothing needs to be done.
        fatal: Whether training cannot work with it.
    """

    text: str
    fix: str = ''
    fatal: bool = True


def main() -> int:
    """Print the installed versions and the problems.

    Returns:
        The exit code: 0 where training can work, 1 where it cannot.
    """
    environment = read_environment()
    problems = find_problems(environment)
    print('\n'.join(render(environment, problems)))
    return int(any(problem.fatal for problem in problems))


def render(environment: Environment, problems: list[Problem]) -> Iterator[str]:
    """Yield the lines to print: the table, the problems, and whether training can work."""
    for name, value in table(environment):
        yield f'{name:<14}{value}'
    for problem in sorted(problems, key=lambda problem: not problem.fatal):
        yield f'\n{"FAULT" if problem.fatal else "note "} {problem.text}'
        if problem.fix:
            yield f'      fix it with: {problem.fix}'
    fatal = sum(problem.fatal for problem in problems)
    yield f'\n{fatal} fault{"s" * (fatal != 1)}: training cannot work' if fatal else '\ntraining can work'


def table(environment: Environment) -> Iterator[tuple[str, str]]:
    """Yield the rows of the table: a name and its version or state."""
    yield 'python', environment.python
    for name in DISTRIBUTIONS:
        found = environment.distributions.get(name, {})
        versions = ', '.join(version if dist == name else f'{version} ({dist})' for dist, version in found.items())
        error = environment.import_errors.get(name)
        yield name, (versions or 'not installed') + (f', does not import: {error}' if versions and error else '')
    ops_error = environment.import_errors.get(OPS)
    yield OPS, f'does not load: {ops_error}' if ops_error else f'loads, built for {cuda_or_cpu(environment.ops_cuda)}'
    if environment.version('torch'):
        yield 'torch build', f'for {cuda_or_cpu(environment.torch_cuda)}'
    yield 'GPU', ', '.join(environment.gpus) or 'none'
    yield 'nvcc', 'found' if environment.nvcc else 'not found'


def find_problems(environment: Environment) -> list[Problem]:
    """Return the problems of an environment, in the order in which to fix them."""
    problems = [
        *_missing_parts(environment),
        *_refused_versions(environment),
        *_ops(environment),
        *_helpers(environment),
    ]
    if not (environment.version('mmdet') or environment.version('mmseg')):
        fix = f'{INSTALL["mmdet"]}  # or, for segmentation: {INSTALL["mmseg"]}'
        problems.append(Problem('neither mmdet nor mmseg is installed', fix))
    torch = environment.version('torch')
    if torch and Version(torch).release >= (2, 6) and 'mmengine' in environment.distributions.get('mmengine', {}):
        text = f"torch {torch} refuses mmengine's training checkpoints (weights_only), except in this project's tools"
        fix = f'calling {ALLOW_CHECKPOINTS} first in scripts of your own'
        problems.append(Problem(text, fix, fatal=False))
    return problems


def _missing_parts(environment: Environment) -> Iterator[Problem]:
    broken = False
    for name in FOUNDATION:
        found = environment.distributions.get(name, {})
        error = environment.import_errors.get(name)
        if len(found) > 1:
            text = f'{" and ".join(found)} are installed together and overwrite each other'
            yield Problem(text, f'pip uninstall -y {" ".join(found)} && {INSTALL[name]}')
        elif not found:
            yield Problem(f'{name} is not installed', INSTALL[name])
        elif error and not broken:
            yield Problem(f'{name} {environment.version(name)} does not import: {error}', REINSTALL[name])
        broken = broken or len(found) != 1 or error is not None


def _refused_versions(environment: Environment) -> Iterator[Problem]:
    refused = set()
    for accepted in environment.accepted:
        version = environment.version(accepted.package)
        if version and version not in accepted:
            refused.add(accepted.host)
            host = f'{accepted.host} {environment.version(accepted.host)}'
            needed = f'{accepted.package}>={accepted.minimum},<{accepted.maximum}'
            install = REBUILD_OPS if accepted.package == 'mmcv' else 'pip install '
            yield Problem(f'{host} refuses {accepted.package} {version}: it takes {needed}', f'{install}"{needed}"')
    if any(name in environment.import_errors or not environment.version(name) for name in FOUNDATION):
        return
    for host in ('mmdet', 'mmseg'):
        error = environment.import_errors.get(host)
        if environment.version(host) and error and host not in refused:
            yield Problem(f'{host} {environment.version(host)} does not import: {error}', REINSTALL[host])


def _ops(environment: Environment) -> Iterator[Problem]:
    error = environment.import_errors.get(OPS)
    mmcv = environment.distributions.get('mmcv', {})
    if not mmcv or 'mmcv' in environment.import_errors or 'torch' in environment.import_errors:
        return
    name, version = next(iter(mmcv.items()))
    rebuild = f'{REBUILD_OPS}{name}=={version}'
    if name == 'mmcv-lite':
        rebuild = f'pip uninstall -y mmcv-lite && {INSTALL["mmcv"]}'
    if error:
        text = f"mmcv's compiled ops do not load: {error}"
        # Both hosts import mmcv.ops with their models; the backbone alone does without.
        yield Problem(text, rebuild, fatal=bool(environment.version('mmdet') or environment.version('mmseg')))
    elif environment.gpus and environment.torch_cuda and not environment.ops_cuda:
        text = f"mmcv's ops are built for the CPU: detectors fail on {environment.gpus[0]}"
        if not environment.nvcc:
            text += f', and there is no nvcc to build them (install the CUDA {environment.torch_cuda} toolkit first)'
        yield Problem(text, rebuild.replace('MMCV_WITH_OPS=1', 'FORCE_CUDA=1 MMCV_WITH_OPS=1'), fatal=False)


def _helpers(environment: Environment) -> Iterator[Problem]:
    if environment.needs_pkg_resources and 'pkg_resources' not in environment.helpers:
        text = f'mmengine {environment.version("mmengine")} needs pkg_resources, which setuptools 81 removed'
        yield Problem(text, 'pip install "setuptools<81"')
    absent = [name for name in ('ftfy', 'regex') if name not in environment.helpers]
    if environment.version('mmseg') and absent:
        yield Problem(
            f'mmseg imports {" and ".join(absent)} and does not install it', f'pip install {" ".join(absent)}'
        )


def cuda_or_cpu(version: str) -> str:
    """Return the name of a build: `CUDA 13.0`, or `the CPU` for an empty version."""
    return f'CUDA {version}' if version else 'the CPU'


if __name__ == '__main__':
    raise SystemExit(main())
