"""`tools/model_zoo.py`: the page is what the metafiles say; one that says too little or too much is refused."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from resnest_mm.errors import UserError
from resnest_mm.model_zoo.metafile import Entry, Result, read_index
from resnest_mm.model_zoo.page import first_difference, render
from tests.support.tool_runs import run_tool

INDEX = """\
Import: [metafile.yml]
Collections:
  - Name: Faster R-CNN
"""
MODEL = """\
Models:
  - Name: faster
    In Collection: Faster R-CNN
    Config: configs/detection/faster.py
    Group: measured
    Metadata: {Architecture: [ResNeSt-14, FPN], Training Data: BCCD, Iterations: 1500, Batch Size: 4,
               Parameters: 12345678}
    Results:
      - {Task: Object Detection, Dataset: BCCD val, Metrics: {box AP: 47.50}, Source: us}
"""
Capture = pytest.CaptureFixture[str]


def write(folder: Path, text: str = MODEL) -> Path:
    """Write an index and its metafile, and return the index."""
    (folder / 'metafile.yml').write_text(text, encoding='utf-8')
    (folder / 'model-index.yml').write_text(INDEX, encoding='utf-8')
    return folder / 'model-index.yml'


def entry(**changes: Any) -> Entry:
    """Return an entry as `MODEL` has it, with other values."""
    result = Result(task='Object Detection', dataset='BCCD val', metrics={'box AP': '47.50'}, source='us')
    own = Entry(
        name='faster',
        collection='Faster R-CNN',
        config='detection/faster',
        group='measured',
        architecture=('ResNeSt-14', 'FPN'),
        data='BCCD',
        length=('Iterations', '1500'),
        batch_size='4',
        parameters=12345678,
        costs={},
        results=(result,),
        record=None,
        url=None,
        converted=False,
        deviations=(),
        note='',
    )
    return dataclasses.replace(own, **changes)


def rows(page: str) -> list[list[str]]:
    """Return the cells of the page's tables."""
    return [[cell.strip() for cell in line[1:-1].split('|')] for line in page.splitlines() if line.startswith('| ')]


def test_a_metafile_is_read_digit_by_digit(tmp_path: Path) -> None:
    """47.50 was published with two digits; a number would be printed with one."""
    assert read_index(write(tmp_path)) == (entry(),)


def test_the_committed_page_is_what_the_metafiles_say(repository: Path) -> None:
    page = (repository / 'docs' / 'model_zoo.md').read_text(encoding='utf-8')
    assert first_difference(page, render(read_index(repository / 'model-index.yml'))) is None


def test_another_number_makes_another_page(repository: Path) -> None:
    """The page's line that differs is named with what it should be."""
    entries = list(read_index(repository / 'model-index.yml'))
    page = render(entries)
    first = entries[0].results[0]
    entries[0] = dataclasses.replace(
        entries[0], results=(dataclasses.replace(first, metrics={**first.metrics, 'box AP': '61'}),)
    )
    difference = first_difference(page, render(entries))
    assert difference is not None
    is_, should = difference.splitlines()
    assert re.match(r"line \d+ is '\| \[`faster-rcnn_s14_fpn_demo`\].* box AP 60 ", is_)
    assert ' box AP 61 ' in should


def test_a_line_too_few_or_too_many_is_a_difference() -> None:
    assert first_difference('a\nb\n', 'a\nb\n') is None
    assert first_difference('a\n', 'a\nb\n') == "line 2 is nothing\nand should be 'b'"
    assert first_difference('a\nb\n', 'a\n') == "line 2 is 'b'\nand should be nothing"
    assert first_difference('a', 'a\n') is not None


def test_every_config_and_every_number_stands_on_the_page_once(repository: Path) -> None:
    entries = read_index(repository / 'model-index.yml')
    page = render(entries)
    links = re.findall(r'\]\(\.\./configs/(.+?)\.py\)', page)
    assert sorted(links) == sorted(each.config for each in entries)
    cells = {re.search(r'configs/(.+?)\.py', row[0])[1]: row for row in rows(page) if 'configs/' in row[0]}
    for each in entries:
        told = ' '.join(cells[each.config])
        assert all(f'{name} {value}' in told for result in each.results for name, value in result.metrics.items())
        assert all(result.source in page for result in each.results)
        assert all(text in page for text in each.deviations)


def test_a_row_says_what_the_entry_does() -> None:
    """Results by data set, costs, the source where a section has several, and deviations as numbers."""
    other = Result(task='Object Detection', dataset='BCCD test', metrics={'box AP': '9', 'AP50': '10'}, source='them')
    costs = {'Training Resources': 'a GPU', 'Iteration Time': '1 s', 'Training Memory (GB)': '3'}
    many = entry(results=(*entry().results, other), costs=costs, deviations=('One.', 'Two.'))
    page = render([entry(config='detection/first', deviations=('Two.',), note='Small.'), many])
    assert rows(page) == [
        ['config', 'network', 'parameters', 'training', 'result', 'measured by', 'took', 'notes'],
        ['---'] * 8,
        [
            '[`first`](../configs/detection/first.py)',
            'Faster R-CNN, ResNeSt-14, FPN',
            '12.35 M',
            'BCCD, 1,500 x 4',
            'BCCD val: box AP 47.50',
            'us',
            '',
            '1; Small.',
        ],
        [
            '[`faster`](../configs/detection/faster.py)',
            'Faster R-CNN, ResNeSt-14, FPN',
            '12.35 M',
            'BCCD, 1,500 x 4',
            'BCCD val: box AP 47.50; BCCD test: box AP 9, AP50 10',
            'us; them',
            'a GPU; 1 s an iteration; 3 GB',
            '2, 1',
        ],
    ]
    assert page.endswith('## Notes\n\n1. Two.\n2. One.\n')
    assert 'Memory was not measured.' not in page


def test_what_was_not_measured_is_said() -> None:
    page = render([entry(results=()), entry(config='detection/none', group='unpublished', results=())])
    assert 'not measured yet' in page and 'Memory was not measured.' in page
    assert 'No results have been published' in page


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        (', Source: us', '', 'faster: Results lacks Source'),
        ('Source: us', "Source: ''", "Source='' must be text"),
        ('47.50', '0.475x', "box AP='0.475x' must be a number in per cent such as 12.34"),
        ('{box AP: 47.50}', '{}', 'faster: Metrics must be a mapping with entries'),
        ('Group: measured', 'Group: ours', "Group='ours' must be one of authors, mmdet"),
        ('In Collection: Faster', 'In Collection: Fast', "In Collection='Fast R-CNN' is none of Faster R-CNN"),
        ('configs/detection/faster.py', 'faster.py', "Config='faster.py' must be a path such as configs/detection"),
        ('Iterations: 1500, ', '', 'Metadata has 0 of Iterations and Epochs; state one'),
        ('Iterations: 1500', 'Iterations: 1500, Epochs: 2', 'Metadata has 2 of Iterations and Epochs; state one'),
        ('12345678', '12.3 M', "Parameters='12.3 M' must be a whole number"),
        ('Training Data', 'Trained on', 'Metadata lacks Training Data'),
        ('Batch Size: 4', 'Batch Size: 4, Speed: 5', "Metadata has the unknown key 'Speed'"),
        ('    Group', '    Weight: a\n    Group', "has the unknown key 'Weight'; known are Name"),
        ('    Group', '    Weights: a\n    Group', 'a Record goes with one URL'),
        ('    Group', '    Record: a\n    Group', 'a Record goes with one URL'),
        ('    Group', '    Converted From: a\n    Group', 'Converted From must be a mapping with entries'),
        ('[ResNeSt-14, FPN]', 'FPN', "Architecture='FPN' must be a list with entries"),
        ('Models:', 'Model:', 'Models=None must be a list with entries'),
        ('Models:', 'Models', 'is no YAML'),
        (MODEL, '- a', 'holds no mapping'),
        ('  - Name: faster', '  - a\n  - Name: faster', 'a must be a mapping with entries'),
    ],
)
def test_a_wrong_metafile_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    """The message names the file, the entry and what is wrong with it."""
    assert old in MODEL
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read_index(write(tmp_path, MODEL.replace(old, new)))
    assert str(caught.value).startswith(str(tmp_path / 'metafile.yml'))


def test_a_missing_metafile_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / 'metafile.yml').unlink()
    with pytest.raises(UserError, match=r'metafile\.yml cannot be read: No such file'):
        read_index(tmp_path / 'model-index.yml')


def test_the_tool_writes_checks_and_names_what_differs(repository: Path, tmp_path: Path, capsys: Capture) -> None:
    """Exit code 0 for an equal page, 1 for another one, whose first line that differs is named; nothing is written."""
    page = tmp_path / 'page.md'
    assert run_tool('model_zoo', ['--page', str(page)]) == 0
    written = page.read_text(encoding='utf-8')
    assert written == (repository / 'docs' / 'model_zoo.md').read_text(encoding='utf-8')
    assert [path.name for path in tmp_path.iterdir()] == ['page.md']
    assert run_tool('model_zoo', ['--check', '--page', str(page)]) == 0
    page.write_text(written.replace('42.33', '42.34', 1), encoding='utf-8')
    capsys.readouterr()
    assert run_tool('model_zoo', ['--check', '--page', str(page)]) == 1
    told = capsys.readouterr().err
    assert re.search(r'page\.md: line \d+ is .*42\.34.*\nand should be .*42\.33', told)
    assert '42.34' in page.read_text(encoding='utf-8')


def test_the_tool_refuses_a_file_that_is_not_the_records(repository: Path, tmp_path: Path, capsys: Capture) -> None:
    """A metafile changed by hand: the tool says so and leaves the page as it is."""
    for path in (repository / 'model-index.yml', *sorted((repository / 'configs').glob('*/metafile.yml'))):
        target = tmp_path / path.relative_to(repository)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            path.read_text(encoding='utf-8').replace('1x-ad123c0b.pth', '1x-ad123c0c.pth'), encoding='utf-8'
        )
    arguments = ['--index', str(tmp_path / 'model-index.yml'), '--page', str(tmp_path / 'page.md')]
    assert run_tool('model_zoo', arguments) == 1
    assert '1x-ad123c0c.pth is no URL of detectron2/faster_rcnn_ResNeSt_50_FPN' in capsys.readouterr().err
    assert not (tmp_path / 'page.md').exists()


def test_the_tool_refuses_what_is_not_there(tmp_path: Path, capsys: Capture) -> None:
    assert run_tool('model_zoo', ['--index', str(tmp_path / 'none.yml')]) == 2
    assert run_tool('model_zoo', ['--check', '--page', str(tmp_path / 'none.md')]) == 2
    assert run_tool('model_zoo', ['--page', str(tmp_path / 'none' / 'page.md')]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all(line.startswith('error: ') and 'No such file' in line for line in lines)
