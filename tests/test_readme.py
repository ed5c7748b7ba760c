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

DOCUMENTS = (
    'README.md',
    'docs/detection.md',
    'docs/model_zoo.md',
    'docs/segmentation.md',
    'docs/split_attention.md',
    'docs/weights.md',
)
EXAMPLES = {'quickstart': 'README.md', 'loops': 'docs/split_attention.md', 'dilated': 'docs/split_attention.md'}


def read_example(document: Path, name: str) -> tuple[str, str]:
    """Return the Python block marked `<!-- tested: name -->` and the text block that follows it."""
    pattern = rf'<!-- tested: {name} -->\n```python\n(.*?)```\n.*?```text\n(.*?)```'
    found = re.search(pattern, document.read_text(encoding='utf-8'), flags=re.DOTALL)
    assert found, f'{document} has no example {name!r} with its output'
    return found[1], found[2]


def read_rows(document: Path, table: str) -> list[list[str]]:
    """Return the cells of the table behind `<!-- table: name -->`, without its head."""
    _, _, rest = document.read_text(encoding='utf-8').partition(f'<!-- table: {table} -->\n')
    lines = rest.split('\n\n')[0].splitlines()
    assert len(lines) > 2, f'{document} has no table {table!r}'
    return [[cell.strip() for cell in re.split(r'(?<!\\)\|', line)[1:-1]] for line in lines[2:]]


@pytest.mark.parametrize('name', EXAMPLES)
def test_an_example_prints_what_stands_below_it(
    name: str, repository: Path, fresh_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The first thing a new user does is to paste an example; it must run alone and print the very same lines."""
    if name == 'quickstart' and find_spec('mmdet') is None:
        pytest.skip('the quick start needs mmdet')
    code, output = read_example(repository / EXAMPLES[name], name)
    assert fresh_python(code).stdout == output


def test_the_quick_start_is_short(repository: Path) -> None:
    """Ten lines are the promise; what needs more belongs into the package."""
    code, _ = read_example(repository / 'README.md', 'quickstart')
    assert len([line for line in code.splitlines() if line.strip()]) <= 10


def test_the_argument_table_is_the_signature(repository: Path) -> None:
    """Names, order and defaults have one home, the constructor; a table that drifts from it misleads."""
    rows = read_rows(repository / 'README.md', 'arguments')
    told = [(name.strip('`'), ast.literal_eval(default.strip('`'))) for name, default, _ in rows]
    parameters = inspect.signature(resnest_mm.ResNeSt).parameters.values()
    assert told == [(parameter.name, parameter.default) for parameter in parameters]


def test_the_versions_are_the_pinned_ones(repository: Path) -> None:
    """The matrix names the versions that the environment is built from."""
    pins = dict(re.findall(r'^([\w-]+)==([^\s;]+)', (repository / 'constraints.txt').read_text(), flags=re.MULTILINE))
    told = {name: version for name, version, _ in read_rows(repository / 'README.md', 'versions') if name in pins}
    assert set(told) >= {'torch', 'mmengine', 'mmcv', 'mmdet', 'mmsegmentation', 'numpy', 'setuptools'}
    assert told == {name: pins[name] for name in told}


def test_panopticapi_has_one_version(repository: Path) -> None:
    """The set-up installs it, the README and the check before a run tell how."""
    places = ('tools/setup_environment.py', 'README.md', 'resnest_mm/training/preflight.py')
    found = [re.findall(r'panopticapi-lite==([\d.]+)', (repository / place).read_text()) for place in places]
    assert all(found) and len({version for versions in found for version in versions}) == 1


@pytest.mark.parametrize('document', DOCUMENTS)
def test_every_file_that_is_named_exists(document: str, repository: Path) -> None:
    """A dead link or a renamed tool is the first thing a reader stumbles over."""
    text = (repository / document).read_text(encoding='utf-8')
    links = [link for link in re.findall(r'\]\(([^)#]+)\)', text) if '://' not in link]
    named = re.findall(r'\b((?:tools|configs|resnest_mm|tests)/[\w/.-]+\.py)\b', text)
    missing = [link for link in links if not (repository / document).parent.joinpath(link).exists()]
    missing += [path for path in named if not (repository / path).exists()]
    assert not missing


@pytest.mark.parametrize('task', ['detection', 'segmentation'])
def test_every_config_is_named_on_its_page_with_its_own_numbers(task: str, repository: Path) -> None:
    """A config that no page names is not found; a number beside it that its docstring does not have is nobody's."""
    text = (repository / 'docs' / f'{task}.md').read_text(encoding='utf-8')
    named = set(re.findall(r'`([\w+-]+)`', text))
    shipped = sorted((repository / 'configs' / task).rglob('*.py'))
    assert shipped and {path.stem for path in shipped} <= named
    folder = repository / 'configs' / task
    compared = 0
    for line in text.splitlines():
        if found := re.match(r'\| config \(`(.*)/`\)', line):
            folder = repository / 'configs' / found[1]
        for name, numbers in re.findall(r'^\| `([\w-]+)` ((?:\| [\d., ]*)+)', line):
            docstring = ast.get_docstring(ast.parse((folder / f'{name}.py').read_text(encoding='utf-8')))
            quoted = re.findall(r'\d\d\.\d+', numbers)
            assert docstring and all(number in docstring for number in quoted), (folder, name, quoted)
            compared += len(quoted)
    assert compared >= 20
