"""The levels of the package, from the lowest to the highest.

`tests/test_architecture.py` compares this table with the folders of `resnest_mm` and with its imports.
"""

from __future__ import annotations

from typing import Final

LEVELS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ('errors', ('errors',)),
    ('foundation', ('atomic', 'command_line', 'environment', 'hosts', 'paths', 'registry')),
    ('network', ('models',)),
    ('parts', ('annotations', 'demo_data', 'detection', 'drawing', 'segmentation', 'weights')),
    ('training', ('training',)),
    ('results', ('browse', 'model_zoo', 'parity', 'report')),
    ('commands', ('check', 'console')),
)
"""Name and rooms of each level. A room is a folder or a file of `resnest_mm`; it imports only rooms of lower levels."""
