"""Names and colours of the classes of the demo scenes."""

from __future__ import annotations

from typing import Final

CLASSES: Final = ('disc', 'triangle', 'square', 'star', 'ring')
"""Object classes; COCO category ids and semantic indices are 1 to 5 in this order."""

SEMANTIC_CLASSES: Final = ('background', *CLASSES)
"""Class of every index of a semantic map; index 0 is the background."""

PALETTE: Final = ((32, 32, 32), (230, 80, 60), (70, 160, 240), (250, 200, 60), (90, 200, 110), (190, 100, 220))
"""RGB display colour, 0-255, of every semantic class."""
