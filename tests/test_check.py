"""`python -m resnest_mm.check` prints every problem of an environment with a command that fixes it."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest

from resnest_mm import check, environment
from resnest_mm.environment import AcceptedVersions, Environment

SOUND = Environment(
    python='3.11.7',
    distributions=MappingProxyType(
        {
            'torch': {'torch': '2.5.1'},
            'numpy': {'numpy': '2.4.0'},
            'mmengine': {'mmengine': '0.10.7'},
            'mmcv': {'mmcv': '2.1.0'},
            'mmdet': {'mmdet': '3.3.0'},
            'mmseg': {'mmsegmentation': '1.2.2'},
            'resnest_mm': {'resnest_mm': '0.1.0'},
        }
    ),
    accepted=(
        AcceptedVersions('mmdet', 'mmcv', '2.0.0rc4', '2.2.0'),
        AcceptedVersions('mmdet', 'mmengine', '0.7.1', '1.0.0'),
        AcceptedVersions('mmseg', 'mmcv', '2.0.0rc4', '2.2.0'),
    ),
    helpers=('ftfy', 'regex', 'pkg_resources'),
    needs_pkg_resources=True,
)
REBUILD = (
    'pip install "setuptools<81" wheel ninja psutil && '
    'MMCV_WITH_OPS=1 pip install --no-build-isolation --no-cache-dir --force-reinstall --no-deps '
)


def installed(**changes: dict[str, str]) -> Environment:
    """Return the sound environment with other distributions of some import names."""
    return dataclasses.replace(SOUND, distributions={**SOUND.distributions, **changes})


def imports_fail(**errors: str) -> Environment:
    """Return the sound environment with imports that raise; `ops` stands for mmcv._ext."""
    named = {environment.OPS if name == 'ops' else name: error for name, error in errors.items()}
    return dataclasses.replace(SOUND, import_errors=named)


def test_a_sound_environment_has_no_problems() -> None:
    """A false alarm would send people to reinstall what works."""
    assert check.find_problems(SOUND) == []
    lines = list(check.render(SOUND, []))
    assert lines[-1] == '\ntraining can work'
    assert lines[4] == 'mmcv          2.1.0'
    assert lines[6] == 'mmseg         1.2.2 (mmsegmentation)'
    assert lines[8] == 'mmcv._ext     loads, built for the CPU'


FAULTS = {
    'no torch': (installed(torch={}), 'torch is not installed', 'pip install torch'),
    'broken torch': (
        imports_fail(torch='OSError: libtorch.so: cannot open', mmengine='OSError: libtorch.so: cannot open'),
        'torch 2.5.1 does not import: OSError: libtorch.so: cannot open',
        'pip install --force-reinstall --no-deps torch',
    ),
    'no mmengine': (installed(mmengine={}), 'mmengine is not installed', 'pip install mmengine "setuptools<81"'),
    'two mmcv': (
        installed(mmcv={'mmcv': '2.1.0', 'mmcv-lite': '2.1.0'}),
        'mmcv and mmcv-lite are installed together and overwrite each other',
        'pip uninstall -y mmcv mmcv-lite && pip install "setuptools<81" wheel ninja psutil && '
        'MMCV_WITH_OPS=1 pip install --no-build-isolation mmcv==2.1.0',
    ),
    'no host': (
        installed(mmdet={}, mmseg={}),
        'neither mmdet nor mmseg is installed',
        'pip install mmdet  # or, for segmentation: pip install mmsegmentation ftfy regex',
    ),
    'ops of another torch': (
        imports_fail(ops='ImportError: undefined symbol: _ZN3c10'),
        "mmcv's compiled ops do not load: ImportError: undefined symbol: _ZN3c10",
        f'{REBUILD}mmcv==2.1.0',
    ),
    'lite under mmdet': (
        dataclasses.replace(
            installed(mmcv={'mmcv-lite': '2.1.0'}),
            import_errors={environment.OPS: "ModuleNotFoundError: No module named 'mmcv._ext'"},
        ),
        "mmcv's compiled ops do not load: ModuleNotFoundError: No module named 'mmcv._ext'",
        'pip uninstall -y mmcv-lite && pip install "setuptools<81" wheel ninja psutil && '
        'MMCV_WITH_OPS=1 pip install --no-build-isolation mmcv==2.1.0',
    ),
    'mmcv too new': (
        dataclasses.replace(installed(mmcv={'mmcv': '2.2.0'}, mmseg={}), accepted=SOUND.accepted[:2]),
        'mmdet 3.3.0 refuses mmcv 2.2.0: it takes mmcv>=2.0.0rc4,<2.2.0',
        f'{REBUILD}"mmcv>=2.0.0rc4,<2.2.0"',
    ),
    'mmengine too new': (
        installed(mmengine={'mmengine': '1.0.0'}),
        'mmdet 3.3.0 refuses mmengine 1.0.0: it takes mmengine>=0.7.1,<1.0.0',
        'pip install "mmengine>=0.7.1,<1.0.0"',
    ),
    'host broken otherwise': (
        imports_fail(mmseg='SyntaxError: invalid syntax'),
        'mmseg 1.2.2 does not import: SyntaxError: invalid syntax',
        'pip install --force-reinstall mmsegmentation ftfy regex',
    ),
    'no pkg_resources': (
        dataclasses.replace(SOUND, helpers=('ftfy', 'regex')),
        'mmengine 0.10.7 needs pkg_resources, which setuptools 81 removed',
        'pip install "setuptools<81"',
    ),
    'no ftfy': (
        dataclasses.replace(SOUND, helpers=('regex', 'pkg_resources')),
        'mmseg imports ftfy and does not install it',
        'pip install ftfy',
    ),
}


@pytest.mark.parametrize(('found', 'text', 'fix'), FAULTS.values(), ids=FAULTS.keys())
def test_each_fault_is_told_with_its_fix(
    found: Environment, text: str, fix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One cause gives one fault, its fix, and exit code 1."""
    assert check.find_problems(found) == [check.Problem(text, fix, fatal=True)]
    monkeypatch.setattr(check, 'read_environment', lambda: found)
    assert check.main() == 1
    printed = capsys.readouterr().out
    assert f'FAULT {text}\n      fix it with: {fix}\n' in printed
    assert printed.endswith('\n1 fault: training cannot work\n')


@pytest.mark.parametrize('host', ['mmdet', 'mmseg'])
def test_absent_ops_stop_either_host(host: str) -> None:
    """Both hosts import mmcv.ops with their models; with neither there, that is the fault and this a note."""
    absent = {environment.OPS: "ModuleNotFoundError: No module named 'mmcv._ext'"}
    none = installed(mmdet={}, mmseg={})
    one = installed(**{name: {} for name in ('mmdet', 'mmseg') if name != host})
    assert [problem.fatal for problem in check.find_problems(dataclasses.replace(one, import_errors=absent))] == [True]
    assert [problem.fatal for problem in check.find_problems(dataclasses.replace(none, import_errors=absent))] == [
        False,
        True,
    ]


@pytest.mark.parametrize(('nvcc', 'word'), [(True, 'built for the CPU'), (False, 'there is no nvcc to build them')])
def test_a_gpu_without_gpu_ops_is_noted(nvcc: bool, word: str) -> None:
    """Detectors fail on the GPU in the middle of training there; on the CPU they still train."""
    found = dataclasses.replace(SOUND, torch_cuda='13.0', gpus=('H100',), nvcc=nvcc)
    (problem,) = check.find_problems(found)
    assert word in problem.text
    assert 'H100' in problem.text
    assert problem.fix == f'{REBUILD.replace("MMCV_WITH", "FORCE_CUDA=1 MMCV_WITH")}mmcv==2.1.0'
    assert not problem.fatal


def test_weights_only_is_noted_from_torch_2_6() -> None:
    """Resuming from mmengine's own checkpoints fails there, which is no fault of the environment."""
    assert check.find_problems(installed(torch={'torch': '2.5.1'})) == []
    (problem,) = check.find_problems(installed(torch={'torch': '2.13.0+cpu'}))
    assert 'weights_only' in problem.text
    module, _, function = problem.fix.split()[1].removesuffix('()').rpartition('.')
    assert callable(getattr(importlib.import_module(module), function))
    assert not problem.fatal


def test_accepted_versions_are_read_from_both_styles_of_host() -> None:
    """The two hosts name their accepted differently, and reading must not run them."""
    mmdet = "raise SystemExit\nmmcv_minimum_version = '2.0.0rc4'\nmmcv_maximum_version = '2.2.0'\n"
    mmseg = "MMCV_MIN = '2.0.0rc4'\nMMCV_MAX = '2.2.0'\nMMENGINE_MAX = '1.0.0'\nMMCV_OTHER = '9'\n"
    assert list(environment.read_accepted('mmdet', mmdet)) == [AcceptedVersions('mmdet', 'mmcv', '2.0.0rc4', '2.2.0')]
    assert list(environment.read_accepted('mmseg', mmseg)) == [
        AcceptedVersions('mmseg', 'mmcv', '2.0.0rc4', '2.2.0'),
        AcceptedVersions('mmseg', 'mmengine', '0', '1.0.0'),
    ]
    assert list(environment.read_accepted('other', 'x: int = 1')) == []


@pytest.mark.parametrize(
    ('version', 'accepted'),
    [
        ('2.0.0rc4', True),
        ('2.0.0rc1', False),
        ('2.1.0+cu118', True),
        ('2.2.0rc1', True),
        ('2.2.0', False),
        ('10.0', False),
    ],
)
def test_versions_are_compared_as_the_hosts_compare_them(version: str, accepted: bool) -> None:
    """A release candidate is older than its release, and a build for CUDA is as old as the release."""
    assert (version in SOUND.accepted[0]) is accepted
    problems = check.find_problems(installed(mmcv={'mmcv': version}, mmseg={}))
    assert ([problem.text.partition(' refuses ')[0] for problem in problems] == []) is accepted


def test_imports_are_tried_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing module, a failing one, and one that ends the interpreter are each told, and this process lives on."""
    (tmp_path / 'failing_one.py').write_text('print("noise"); raise OSError("first line\\nsecond line")')
    (tmp_path / 'ending_one.py').write_text('import os; os._exit(7)')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    errors, _ = environment.import_in_child(('json', 'missing_one', 'failing_one', 'ending_one', 'ast'))
    assert errors['missing_one'] == "ModuleNotFoundError: No module named 'missing_one'"
    assert errors['failing_one'] == 'OSError: first line'
    assert 'exit code 7' in errors['ending_one']
    assert 'json' not in errors
    assert 'failing_one' not in sys.modules


def test_this_environment_is_sound(fresh_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """The environment the tests run in has every part, so the real look must find no fault."""
    done = fresh_python('from resnest_mm.check import main; raise SystemExit(main())')
    assert done.stdout.endswith('training can work\n')
    assert 'FAULT' not in done.stdout
