"""What the package is from outside: its import, its configs, its wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import resnest_mm
from resnest_mm import paths

Run = Callable[..., subprocess.CompletedProcess[str]]

BLOCKED_PARTS = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('mmdet', 'mmseg') or name.startswith(('mmcv.ops', 'mmcv._ext')):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Block())
"""


def test_import_is_silent_and_light(fresh_python: Run) -> None:
    """Every program that sees the scope imports the package: it must not warn, print or load a host."""
    code = (
        'import sys, resnest_mm; assert resnest_mm.__version__;'
        'heavy = {"torch", "numpy", "mmengine", "mmcv", "mmcv.ops", "mmcv._ext", "mmdet", "mmseg"};'
        'assert not heavy & set(sys.modules), heavy & set(sys.modules)'
    )
    done = fresh_python(code, flags=('-W', 'error'))
    assert (done.stdout, done.stderr) == ('', '')


def test_backbone_runs_without_hosts_and_ops(fresh_python: Run) -> None:
    """The backbone alone needs torch, mmengine and mmcv-lite, which has neither mmcv.ops nor the extension."""
    done = fresh_python(
        BLOCKED_PARTS
        + """
import torch
from mmengine.registry import MODELS
torch.manual_seed(0)
torch.set_num_threads(1)
model = MODELS.build(dict(type='resnest_mm.ResNeSt', depth=50)).eval()
with torch.no_grad():
    outs = model(torch.randn(1, 3, 32, 32))
assert all(out.isfinite().all() and out.std() > 0 for out in outs)
print([tuple(out.shape) for out in outs])
print([name for name in ('mmdet', 'mmseg', 'mmcv.ops', 'mmcv._ext') if name in sys.modules])
"""
    )
    shapes, forbidden = done.stdout.splitlines()[-2:]
    assert shapes == '[(1, 256, 8, 8), (1, 512, 4, 4), (1, 1024, 2, 2), (1, 2048, 1, 1)]'
    assert forbidden == '[]'


@pytest.fixture
def three_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand a small configs folder in for the shipped one."""
    for name in ('demo/faster-rcnn_s14.py', 'detection/mask-rcnn_s50.py', 'detection/_base_/s50.py', 'demo/README.md'):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('')
    monkeypatch.setattr(paths, 'shipped_folder', lambda name: tmp_path)
    return tmp_path


@pytest.mark.parametrize('name', ['demo/faster-rcnn_s14', 'demo/faster-rcnn_s14.py'])
def test_config_path_takes_names_with_and_without_suffix(name: str, three_configs: Path) -> None:
    """Users copy names from the tables (without suffix) or from the file system (with it)."""
    assert resnest_mm.config_path(name) == three_configs / 'demo' / 'faster-rcnn_s14.py'


def test_list_configs_leaves_parts_out(three_configs: Path) -> None:
    """A file under _base_ cannot be run, and a README is no config."""
    assert resnest_mm.list_configs() == ['demo/faster-rcnn_s14', 'detection/mask-rcnn_s50']


@pytest.mark.parametrize(
    ('name', 'near'),
    [('demo/faster-rcnn_s15', 'demo/faster-rcnn_s14'), ('mask_rcnn_s50.py', 'detection/mask-rcnn_s50')],
    ids=['typo', 'wrong folder'],
)
def test_an_unknown_config_names_the_nearest(name: str, near: str, three_configs: Path) -> None:
    """The message must lead to the right name: the value given, the nearest name, how to list all."""
    with pytest.raises(ValueError) as error:
        resnest_mm.config_path(name)
    assert str(error.value) == (
        f'config {name!r} is unknown; did you mean {near!r}? resnest_mm.list_configs() lists all 2'
    )


@pytest.mark.parametrize('name', ['', '.', '../pyproject', '/absolute', 'demo'])
def test_config_path_stays_inside_the_folder(name: str, three_configs: Path) -> None:
    """A name is no file system path: nothing outside configs/ and no folder is ever returned."""
    (three_configs.parent / 'pyproject.py').write_text('')
    with pytest.raises(ValueError, match='is unknown'):
        resnest_mm.config_path(name)


def test_every_shipped_config_is_found(repository: Path) -> None:
    """In a checkout the configs stand beside the package."""
    for name in resnest_mm.list_configs():
        assert resnest_mm.config_path(name) == repository / 'configs' / f'{name}.py'


@pytest.fixture(scope='module')
def source(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the checkout, so that no build folder is left in it."""
    source = tmp_path_factory.mktemp('source')
    listed = subprocess.run(
        ['git', 'ls-files', '--cached', '--others', '--exclude-standard'],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (repository / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((repository / name).read_bytes())
    return source


@pytest.fixture(scope='module')
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel once."""
    built = tmp_path_factory.mktemp('built')
    pip(f'wheel --no-deps --no-build-isolation -w {built} {source}')
    (path,) = built.glob('resnest_mm-*.whl')
    return path


def pip(arguments: str) -> None:
    """Run pip without asking any index."""
    command = [sys.executable, '-m', 'pip', *arguments.split(), '--no-index', '--quiet', '--disable-pip-version-check']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_wheel_holds_everything_that_ships(wheel: Path, repository: Path) -> None:
    """Configs and tools stand outside the package in a checkout, so a wheel can lack them unnoticed."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    for folder, prefix in (
        ('configs', 'resnest_mm/configs'),
        ('tools', 'resnest_mm/tools'),
        ('resnest_mm', 'resnest_mm'),
    ):
        here = {path.relative_to(repository / folder) for path in (repository / folder).rglob('*') if path.is_file()}
        wanted = {f'{prefix}/{path.as_posix()}' for path in here if '__pycache__' not in path.parts}
        assert wanted <= inside, wanted - inside
    assert 'resnest_mm/model-index.yml' in inside
    assert not [name for name in inside if '__pycache__' in name]
    assert {name.split('/')[0].split('-')[0] for name in inside} == {'resnest_mm'}


@pytest.fixture(scope='module')
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a folder of its own and return the folder."""
    folder = tmp_path_factory.mktemp('installed')
    pip(f'install --no-deps --target {folder} {wheel}')
    return folder


def run_command(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command `resnest-mm` in another folder than the checkout's."""
    env = {**os.environ, 'PYTHONPATH': str(installed)}
    command = [sys.executable, str(installed / 'bin' / 'resnest-mm'), *arguments]
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_installed_wheel_builds_and_finds_its_configs(installed: Path, fresh_python: Run) -> None:
    """What works in the checkout must work for someone who only has the wheel, in another folder."""
    code = """
import resnest_mm
from mmengine.config import Config
from mmengine.registry import MODELS
print(resnest_mm.__file__)
print(type(MODELS.build(dict(type='resnest_mm.ResNeSt', depth=50))).__module__)
for name in resnest_mm.list_configs():
    path = resnest_mm.config_path(name)
    Config.fromfile(path)
    print(path)
"""
    lines = fresh_python(code, path=installed).stdout.splitlines()
    files = [line for line in lines if line.endswith('.py')]
    assert files[0] == str(installed / 'resnest_mm' / '__init__.py')
    assert 'resnest_mm.models.resnest' in lines
    assert files[1:] == [str(installed / 'resnest_mm' / 'configs' / f'{name}.py') for name in resnest_mm.list_configs()]


@pytest.mark.slow
def test_the_command_of_the_wheel_runs_tools(installed: Path, tmp_path: Path, repository: Path) -> None:
    """Lists them, runs one, and writes the model zoo page from the metafiles that the wheel ships."""
    listed = run_command(installed, tmp_path)
    assert (listed.returncode, listed.stderr) == (0, '')
    assert {path.stem for path in (repository / 'tools').glob('*.py')} <= set(listed.stdout.split())
    made = run_command(installed, tmp_path, 'make_demo_data', 'demo', '--images', '6', '--size', '64')
    assert made.returncode == 0 and (tmp_path / 'demo').is_dir(), made.stderr
    done = run_command(installed, tmp_path, 'model_zoo', '--page', 'zoo.md')
    assert done.returncode == 0, done.stderr
    page = (repository / 'docs' / 'model_zoo.md').read_text(encoding='utf-8')
    assert (tmp_path / 'zoo.md').read_text(encoding='utf-8') == page


@pytest.mark.slow
@pytest.mark.parametrize(
    ('tool', 'words'),
    [
        ('model_zoo', '--page is missing: an installed package has no docs folder'),
        ('setup_environment', 'is no checkout of resnest_mm: pyproject.toml is missing'),
    ],
)
def test_a_tool_for_checkouts_says_so_in_the_wheel(tool: str, words: str, installed: Path, tmp_path: Path) -> None:
    """One line and exit code 2 in place of a traceback about a file that no wheel has."""
    done = run_command(installed, tmp_path, tool)
    assert done.returncode == 2
    assert words in done.stderr and done.stderr.count('\n') == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_source_distribution_holds_what_the_wheel_is_built_from(source: Path, tmp_path: Path) -> None:
    """A build from it needs the file that setup.py copies into the package."""
    command = [sys.executable, 'setup.py', '--quiet', 'sdist', '--dist-dir', str(tmp_path)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob('*.tar.gz')
    with tarfile.open(path) as archive:
        inside = {name.partition('/')[2] for name in archive.getnames()}
    assert {'model-index.yml', 'configs/demo/metafile.yml', 'tools/train.py', 'resnest_mm/__init__.py'} <= inside
