"""The command that compares with other packages: its verdict must be right, and heard."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from resnest_mm.parity import references
from resnest_mm.parity.pair import Pair
from resnest_mm.parity.references import official_pairs

pytest.importorskip('resnest.torch', reason='pip install --no-deps resnest==0.0.5')

Main = Callable[[Sequence[str]], int]
SMALL = 'official class, depth 14'


@pytest.fixture(scope='module')
def main() -> Main:
    path = Path(__file__).parents[2] / 'tools' / 'verify_parity.py'
    spec = importlib.util.spec_from_file_location('verify_parity', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Leave the smallest network only."""
    [small] = [pair for pair in official_pairs() if pair.label == SMALL]
    monkeypatch.setattr(references, 'REFERENCES', {'official': lambda: [small], 'mmdet': list})
    return small


@pytest.mark.usefixtures('pair')
def test_equal_network_gives_a_row_and_exit_code_0(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    """The table goes to stdout, progress elsewhere, so that the table can be written to a file."""
    assert main(['--only', 'official', '--size', '32']) == 0
    printed = capsys.readouterr()
    head, row = printed.out.splitlines()
    assert head.split() == ['network', 'eval', 'train', 'statistics', 'gradients', 'tolerance', 'verdict']
    assert row.startswith(SMALL) and row.split()[-1] == 'equal'
    assert printed.err.startswith(f'1/1 {SMALL}: equal (')


@pytest.mark.usefixtures('pair')
def test_markdown_table(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['--markdown', '--size', '32']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '| network | eval | train | statistics | gradients | tolerance | verdict |'
    assert lines[1] == '| --- | --- | --- | --- | --- | --- | --- |'
    assert lines[2].startswith(f'| {SMALL} | ') and lines[2].endswith(' | - | 1e-6 | equal |')
    assert len(lines) == 3


def test_other_network_is_named_and_gives_exit_code_1(
    main: Main, pair: Pair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The average pool on the other side of the convolution: same parameters, other values."""
    other = dataclasses.replace(pair, label='other', keywords={**pair.keywords, 'avd_first': True})
    monkeypatch.setattr(references, 'REFERENCES', {'official': lambda: [other, pair]})
    assert main(['--size', '32']) == 1
    printed = capsys.readouterr()
    assert [line.split()[-1] for line in printed.out.splitlines()] == ['verdict', 'DIFFERENT', 'equal']
    assert printed.err.startswith('1/2 other: DIFFERENT')


@pytest.mark.parametrize(
    ('missing', 'group', 'advice'),
    [
        ('resnest.torch', 'official', 'pip install --no-deps resnest'),
        ('resnest.torch', 'dilated', 'pip install --no-deps resnest'),
        ('mmdet', 'mmdet', 'pip install mmdet'),
        ('mmseg', 'mmseg', 'pip install mmsegmentation'),
    ],
)
def test_missing_package_is_one_line_and_exit_code_2(
    main: Main,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    missing: str,
    group: str,
    advice: str,
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(['--only', group]) == 2
    printed = capsys.readouterr()
    assert printed.out == ''
    [line] = printed.err.splitlines()
    assert line.startswith(f'error: {missing} cannot be imported') and advice in line


@pytest.mark.parametrize(
    ('command', 'message'), [(['--size', '16'], '--size 16'), (['--only', 'timm'], "invalid choice: 'timm'")]
)
def test_bad_argument_is_one_line_and_exit_code_2(
    main: Main, capsys: pytest.CaptureFixture[str], command: list[str], message: str
) -> None:
    assert main(command) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
