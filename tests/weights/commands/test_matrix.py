"""The printed table of conversions is computed, complete, and the one in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from resnest_mm.weights.commands import matrix
from resnest_mm.weights.layouts.tables import LAYOUTS


@pytest.mark.parametrize('network', matrix.NETWORKS)
def test_every_pair_has_a_cell(network: str) -> None:
    """Only ZCls without its bias is inexact, and only glasses' grouped gates are refused."""
    radix, groups = matrix.NETWORKS[network]
    cells = matrix.compute(network)
    assert [(cell.source, cell.target) for cell in cells] == [(one, other) for one in LAYOUTS for other in LAYOUTS]
    for cell in cells:
        refused = radix > 1 and groups > 1 and 'glasses' in (cell.source, cell.target)
        folded = cell.target == 'zcls' != cell.source
        assert cell.status == ('refused' if refused else 'folded' if folded else 'exact')
        assert bool(cell.reason) == (cell.status != 'exact')


def test_documentation_has_what_is_printed(repository: Path) -> None:
    """The page cannot promise what the code does not do."""
    assert matrix.render() in (repository / 'docs' / 'weights.md').read_text(encoding='utf-8')
