"""Say what keeps training from working here, and what mends it: `python -m resnest_mm.check`.

Ends with exit code 0 where training can work and 1 where it cannot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from resnest_mm.environment import DISTRIBUTIONS, OPS, Findings, look

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
class Remark:
    """Something worth saying about the environment.

    Args:
        text: What is the matter.
        remedy: The command that mends it, or what to do; empty where nothing needs to be done.
        fatal: Whether training cannot work with it.
    """

    text: str
    remedy: str = ''
    fatal: bool = True


def main() -> int:
    """Print the table and the remarks."""
    findings = look()
    remarks = judge(findings)
    print('\n'.join(render(findings, remarks)))
    return int(any(remark.fatal for remark in remarks))


def render(findings: Findings, remarks: list[Remark]) -> Iterator[str]:
    """Yield the lines that are printed."""
    for name, value in table(findings):
        yield f'{name:<14}{value}'
    for remark in sorted(remarks, key=lambda remark: not remark.fatal):
        yield f'\n{"FAULT" if remark.fatal else "note "} {remark.text}'
        if remark.remedy:
            yield f'      mend it with: {remark.remedy}'
    fatal = sum(remark.fatal for remark in remarks)
    yield f'\n{fatal} fault{"s" * (fatal != 1)}: training cannot work' if fatal else '\ntraining can work'


def table(findings: Findings) -> Iterator[tuple[str, str]]:
    """Yield the rows: a name and what was found."""
    yield 'python', findings.python
    for name in DISTRIBUTIONS:
        found = findings.distributions.get(name, {})
        versions = ', '.join(version if dist == name else f'{version} ({dist})' for dist, version in found.items())
        error = findings.import_errors.get(name)
        yield name, (versions or 'not installed') + (f', does not import: {error}' if versions and error else '')
    ops_error = findings.import_errors.get(OPS)
    yield OPS, f'does not load: {ops_error}' if ops_error else f'loads, built for {cuda_or_cpu(findings.ops_cuda)}'
    if findings.version('torch'):
        yield 'torch build', f'for {cuda_or_cpu(findings.torch_cuda)}'
    yield 'GPU', ', '.join(findings.gpus) or 'none'
    yield 'nvcc', 'found' if findings.nvcc else 'not found'


def judge(findings: Findings) -> list[Remark]:
    """Return everything that is wrong or worth knowing, in the order in which it should be mended."""
    remarks = [*_missing_parts(findings), *_refusals(findings), *_ops(findings), *_helpers(findings)]
    if not (findings.version('mmdet') or findings.version('mmseg')):
        remedy = f'{INSTALL["mmdet"]}  # or, for segmentation: {INSTALL["mmseg"]}'
        remarks.append(Remark('neither mmdet nor mmseg is installed', remedy))
    torch = findings.version('torch')
    if torch and release(torch) >= (2, 6) and 'mmengine' in findings.distributions.get('mmengine', {}):
        text = f"torch {torch} refuses mmengine's training checkpoints (weights_only), except in this project's tools"
        remedy = f'calling {ALLOW_CHECKPOINTS} first in scripts of your own'
        remarks.append(Remark(text, remedy, fatal=False))
    return remarks


def _missing_parts(findings: Findings) -> Iterator[Remark]:
    broken = False
    for name in FOUNDATION:
        found = findings.distributions.get(name, {})
        error = findings.import_errors.get(name)
        if len(found) > 1:
            text = f'{" and ".join(found)} are installed together and overwrite each other'
            yield Remark(text, f'pip uninstall -y {" ".join(found)} && {INSTALL[name]}')
        elif not found:
            yield Remark(f'{name} is not installed', INSTALL[name])
        elif error and not broken:
            yield Remark(f'{name} {findings.version(name)} does not import: {error}', REINSTALL[name])
        broken = broken or len(found) != 1 or error is not None


def _refusals(findings: Findings) -> Iterator[Remark]:
    refused = set()
    for limit in findings.limits:
        version = findings.version(limit.package)
        if version and not release(limit.minimum) <= release(version) < release(limit.maximum):
            refused.add(limit.host)
            wanted = f'{limit.package}>={limit.minimum},<{limit.maximum}'
            text = f'{limit.host} {findings.version(limit.host)} refuses {limit.package} {version}: it takes {wanted}'
            install = REBUILD_OPS if limit.package == 'mmcv' else 'pip install '
            yield Remark(text, f'{install}"{wanted}"')
    if any(name in findings.import_errors or not findings.version(name) for name in FOUNDATION):
        return
    for host in ('mmdet', 'mmseg'):
        error = findings.import_errors.get(host)
        if findings.version(host) and error and host not in refused:
            yield Remark(f'{host} {findings.version(host)} does not import: {error}', REINSTALL[host])


def _ops(findings: Findings) -> Iterator[Remark]:
    error = findings.import_errors.get(OPS)
    mmcv = findings.distributions.get('mmcv', {})
    if not mmcv or 'mmcv' in findings.import_errors or 'torch' in findings.import_errors:
        return
    name, version = next(iter(mmcv.items()))
    rebuild = f'{REBUILD_OPS}{name}=={version}'
    if name == 'mmcv-lite':
        rebuild = f'pip uninstall -y mmcv-lite && {INSTALL["mmcv"]}'
    if error:
        text = f"mmcv's compiled ops do not load: {error}"
        # Both hosts import mmcv.ops with their models; the backbone alone does without.
        yield Remark(text, rebuild, fatal=bool(findings.version('mmdet') or findings.version('mmseg')))
    elif findings.gpus and findings.torch_cuda and not findings.ops_cuda:
        text = f"mmcv's ops are built for the CPU: detectors fail on {findings.gpus[0]}"
        if not findings.nvcc:
            text += f', and there is no nvcc to build them (install the CUDA {findings.torch_cuda} toolkit first)'
        yield Remark(text, rebuild.replace('MMCV_WITH_OPS=1', 'FORCE_CUDA=1 MMCV_WITH_OPS=1'), fatal=False)


def _helpers(findings: Findings) -> Iterator[Remark]:
    if findings.needs_pkg_resources and 'pkg_resources' not in findings.helpers:
        text = f'mmengine {findings.version("mmengine")} needs pkg_resources, which setuptools 81 removed'
        yield Remark(text, 'pip install "setuptools<81"')
    absent = [name for name in ('ftfy', 'regex') if name not in findings.helpers]
    if findings.version('mmseg') and absent:
        yield Remark(f'mmseg imports {" and ".join(absent)} and does not install it', f'pip install {" ".join(absent)}')


def cuda_or_cpu(version: str) -> str:
    """Return how a build is called: `CUDA 13.0`, or `the CPU` for an empty version."""
    return f'CUDA {version}' if version else 'the CPU'


def release(version: str) -> tuple[int, ...]:
    """Return the numeric part of a version, such as (2, 0, 0) of `2.0.0rc4`, which is enough to compare with limits."""
    numbers = re.match(r'\d+(\.\d+)*', version)
    return tuple(map(int, numbers[0].split('.'))) if numbers else ()


if __name__ == '__main__':
    raise SystemExit(main())
