"""Findings of the data check: their one line, and the count and examples of one sort of fault."""

from __future__ import annotations

from resnest_mm.training.data_check.finding import Finding, tallied
from resnest_mm.training.data_check.sampling import choose


def test_a_finding_is_one_line_with_count_examples_and_remedy() -> None:
    """Where, how many of how many, which ones, and what to do."""
    found = Finding(
        severity='error',
        key='train_dataloader.dataset',
        what='boxes have no area',
        count=4,
        total=9,
        examples=('annotation 1', 'annotation\n2'),
        remedy='remove them',
    )
    line = 'train_dataloader.dataset: 4 of 9 boxes have no area (annotation 1; annotation 2; ...); remove them'
    assert str(found) == line


def test_a_tally_counts_all_and_keeps_a_few_short_examples() -> None:
    """A file with a million faults of one sort gives one line, and a hostile value neither breaks nor floods it."""
    (found,) = tallied('k', 'warning', 'names', ['\x1b[31m', 'x' * 999, *range(98)], total=100)
    assert (found.count, found.total) == (100, 100)
    assert found.examples == ('?[31m', 'x' * 160 + '...', '0')
    assert tallied('k', 'warning', 'names', []) == []


def test_a_sample_is_the_same_in_every_run() -> None:
    """What one run found can be looked at again in the next one."""
    items = list(range(1000))
    assert choose(items, 5, seed=0) == choose(items, 5, seed=0) != choose(items, 5, seed=1)
    assert choose(items, 5, seed=0) == sorted(choose(items, 5, seed=0))
    assert choose(items, None, seed=0) == choose(items, 1000, seed=0) == items


def test_a_finding_prints_whatever_a_file_holds() -> None:
    """A class name with half a character, or with commands for the terminal, stands in the text too."""
    found = Finding(severity='error', key='k', what='names \ud800 and \x1b[2J', remedy='write \ud800')
    assert str(found) == 'k: names ? and ?[2J; write ?'
