"""Helpers of the tests have one place and an index."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parent


def test_no_test_module_imports_another() -> None:
    """A test that is renamed or split must not break others; what two of them need stands in tests/support."""
    for path in sorted(TESTS.rglob('test_*.py')):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding='utf-8'))))
        modules = [node.module or '' for node in nodes if isinstance(node, ast.ImportFrom)]
        modules += [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
        assert [name for name in modules if name.startswith('tests.') and '.test_' in name] == [], path


def test_every_helper_is_in_the_readme() -> None:
    """The next one who needs a helper finds it instead of writing it again."""
    text = (TESTS / 'support' / 'README.md').read_text(encoding='utf-8')
    helpers = {path.stem for path in (TESTS / 'support').glob('*.py')} - {'__init__'}
    assert [name for name in sorted(helpers) if f'`{name}`' not in text] == []
