"""The documents: what they print, list and name must be what the code does, has and is."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

import resnest_mm

REPOSITORY = Path(__file__).resolve().parents[1]
DOCUMENTS = ('README.md', 'CONTRIBUTING.md', *sorted(f'docs/{path.name}' for path in REPOSITORY.glob('docs/*.md')))
EXAMPLES = {
    'quickstart': 'README.md',
    'loops': 'docs/split_attention.md',
    'dilated': 'docs/split_attention.md',
    'cost': 'docs/results.md',
}
NEEDED = {'quickstart': ('mmdet',), 'cost': ('mmdet', 'mmseg')}
"""Hosts that an example imports."""
COPIES = ('configs/detection/mine.py', 'configs/detection/NAME.py', 'configs/segmentation/NAME.py')
"""Files that a reader of the documents makes."""
LONGEST_README = 250


def read_example(document: Path, name: str) -> tuple[str, str]:
    """Return the Python block marked `<!-- tested: name -->` and the text block that follows it."""
    pattern = rf'<!-- tested: {name} -->\n```python\n(.*?)```\n.*?```text\n(.*?)```'
    found = re.search(pattern, document.read_text(encoding='utf-8'), flags=re.DOTALL)
    assert found, f'{document} has no example {name!r} with its output'
    return found[1], found[2]


def read_rows(document: Path, table: str) -> list[list[str]]:
    """Return the cells of the table after `<!-- table: name -->`, without its head."""
    _, _, rest = document.read_text(encoding='utf-8').partition(f'<!-- table: {table} -->\n')
    lines = rest.split('\n\n')[0].splitlines()
    assert len(lines) > 2, f'{document} has no table {table!r}'
    return [[cell.strip() for cell in re.split(r'(?<!\\)\|', line)[1:-1]] for line in lines[2:]]


@pytest.mark.slow
@pytest.mark.parametrize('name', EXAMPLES)
def test_an_example_prints_what_stands_below_it(
    name: str, repository: Path, fresh_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The first thing a new user does is to paste an example; it must run alone and print the very same lines."""
    if missing := [host for host in NEEDED.get(name, ()) if find_spec(host) is None]:
        pytest.skip(f'the example needs {missing[0]}')
    code, output = read_example(repository / EXAMPLES[name], name)
    assert fresh_python(code).stdout == output


def test_the_quick_start_is_short(repository: Path) -> None:
    """Ten lines are the promise; what needs more belongs into the package."""
    code, _ = read_example(repository / 'README.md', 'quickstart')
    assert len([line for line in code.splitlines() if line.strip()]) <= 10


def test_the_argument_table_is_the_signature(repository: Path) -> None:
    """Names, order and defaults have one home, the constructor; a table that drifts from it misleads."""
    rows = read_rows(repository / 'docs' / 'arguments.md', 'arguments')
    told = [(name.strip('`'), ast.literal_eval(default.strip('`'))) for name, default, _ in rows]
    parameters = inspect.signature(resnest_mm.ResNeSt).parameters.values()
    assert told == [(parameter.name, parameter.default) for parameter in parameters]


def test_the_versions_are_the_pinned_ones(repository: Path) -> None:
    """The matrix names the versions that the environment is built from."""
    pins = dict(re.findall(r'^([\w-]+)==([^\s;]+)', (repository / 'constraints.txt').read_text(), flags=re.MULTILINE))
    told = {
        name: version
        for name, version, _ in read_rows(repository / 'docs' / 'installation.md', 'versions')
        if name in pins
    }
    assert set(told) >= {'torch', 'mmengine', 'mmcv', 'mmdet', 'mmsegmentation', 'numpy', 'setuptools'}
    assert told == {name: pins[name] for name in told}


def test_panopticapi_has_one_version(repository: Path) -> None:
    """The setup installs it; the documents and the check before a training say how."""
    places = ('tools/setup_environment.py', 'docs/troubleshooting.md', 'resnest_mm/training/checks/data_files.py')
    found = [re.findall(r'panopticapi-lite==([\d.]+)', (repository / place).read_text()) for place in places]
    assert all(found) and len({version for versions in found for version in versions}) == 1


@pytest.mark.parametrize('document', DOCUMENTS)
def test_every_file_that_is_named_exists(document: str, repository: Path) -> None:
    """A dead link or a renamed tool is the first thing a reader stumbles over."""
    text = (repository / document).read_text(encoding='utf-8')
    links = [link for link in re.findall(r'\]\(([^)#]+)\)', text) if '://' not in link]
    named = re.findall(r'\b((?:tools|configs|resnest_mm|tests)/[\w/.-]+\.py)\b', text)
    missing = [link for link in links if not (repository / document).parent.joinpath(link).exists()]
    missing += [path for path in named if not (repository / path).exists() and path not in COPIES]
    assert not missing


@pytest.mark.parametrize('task', ['detection', 'segmentation'])
def test_every_config_in_a_table_is_shipped(task: str, repository: Path) -> None:
    """A page that names a config which was renamed leads nowhere; the model zoo lists all of them."""
    text = (repository / 'docs' / f'{task}.md').read_text(encoding='utf-8')
    rows = [line.split('|')[1] for line in text.splitlines() if line.startswith('| `') and '_' in line]
    named = [name for row in rows for name in re.findall(r'`([\w-]+)`', row)]
    assert len(named) >= 5
    assert [name for name in named if not (repository / 'configs' / task / f'{name}.py').is_file()] == []


def test_every_tool_is_in_the_readme(repository: Path) -> None:
    """A tool that the table leaves out is not found; setup_environment is named by its make target."""
    text = (repository / 'README.md').read_text(encoding='utf-8')
    tools = {path.stem for path in (repository / 'tools').glob('*.py')} - {'setup_environment'}
    assert set(re.findall(r'^\| `tools/(\w+)\.py', text, flags=re.MULTILINE)) == tools


def test_the_readme_stays_short(repository: Path) -> None:
    """Tables and explanations belong in docs/."""
    assert len((repository / 'README.md').read_text(encoding='utf-8').splitlines()) <= LONGEST_README
