"""The examples in docstrings: a reader pastes them into a shell and must see what is printed there."""

from __future__ import annotations

import doctest
import importlib

import pytest
from mmengine.logging import MMLogger

EXAMPLES = [
    ('resnest_mm.models.resnest', 'ResNeSt'),
    ('resnest_mm.models.split_attention', 'SplitAttention'),
    ('resnest_mm.weights.pretrained', 'Pretrained'),
    ('resnest_mm.weights.convert.api', 'convert'),
]
"""Module and name of every object whose docstring has an `Example`."""


@pytest.mark.parametrize(('module', 'name'), EXAMPLES, ids=[name for _, name in EXAMPLES])
def test_the_example_of_a_docstring_prints_what_it_says(module: str, name: str) -> None:
    """An example that no longer runs, or needs a name that it does not import, would mislead its reader."""
    documented = getattr(importlib.import_module(module), name)
    (example,) = doctest.DocTestFinder(recurse=False).find(documented, name, globs={})
    assert example.examples, f'{module}.{name} has no example'
    # the handler of the logger keeps the stdout of its creation, so a log line is no output of an example
    MMLogger.get_current_instance()
    printed: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(example, out=printed.append)
    assert result.failed == 0, ''.join(printed)
