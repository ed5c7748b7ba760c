"""Draw docs/architecture.png: the rooms of the package, and how a config, an image and a checkpoint pass them.

    python docs/draw_architecture.py

`tests/test_architecture.py` compares LEVELS with the folders and the imports of `resnest_mm`, and the picture with this
file.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVELS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ('errors', ('errors', 'signals')),
    ('foundation', ('atomic', 'command_line', 'environment', 'hosts', 'paths', 'registry')),
    ('network', ('models',)),
    ('parts', ('annotations', 'demo_data', 'detection', 'segmentation', 'weights')),
    ('training', ('training',)),
    ('pictures', ('drawing',)),
    ('results', ('browse', 'model_zoo', 'parity', 'report')),
    ('commands', ('check', 'console')),
)
"""Name and rooms of each level, the lowest first. A room is a folder or a file of `resnest_mm`.

A room imports only rooms of lower levels.
"""


@dataclass(frozen=True)
class Step:
    """One stop on a way.

    Args:
        title: Where it is.
        text: What happens there, in lines.
        room: Folder or file of `resnest_mm` without suffix; empty for a file of the user and for the hosts.
    """

    title: str
    text: str
    room: str = ''


WAYS: Final[tuple[tuple[str, tuple[Step, ...]], ...]] = (
    (
        'a config',
        (
            Step('NAME.py', 'a file, or a\nshipped config'),
            Step('training/config', 'load, apply options,\nfind unknown keys', 'training/config'),
            Step('training/plan', 'adapt the settings,\ncheck before writing', 'training/plan'),
            Step('registry', 'find the class of\na type name', 'registry'),
            Step('models', 'check arguments,\nbuild the network', 'models'),
            Step('mmengine', 'Runner: train,\nvalidate, test'),
        ),
    ),
    (
        'an image',
        (
            Step('a.jpg', 'and its\nannotations'),
            Step('mmdet, mmseg', 'pipeline: load,\nresize, flip'),
            Step('mmdet, mmseg', 'normalise, pad,\nmake a batch'),
            Step('models', 'stem and stages:\nfeature maps', 'models'),
            Step('detection', 'or segmentation,\nor the hosts: heads', 'detection'),
            Step('report', 'metrics, drawn\npredictions', 'report'),
        ),
    ),
    (
        'a checkpoint',
        (
            Step('resnest50', 'a name, a path\nor a URL'),
            Step('weights/hub', 'cache, download,\nchecksum', 'weights/hub'),
            Step('weights/io', 'read without\nrunning code', 'weights/io'),
            Step('weights/convert', 'rename keys by the\nkey layout', 'weights/convert'),
            Step('weights/fit', 'compare names\nand shapes', 'weights/fit'),
            Step('models', 'load everything\nor nothing', 'models'),
        ),
    ),
)
COLOURS: Final = ('#d9d9d9', '#e8e2d0', '#bfd7ea', '#cfe8cf', '#fbe3a6', '#d5ecec', '#f6c9b6', '#e3cdea')
"""Fill of each level."""

WIDTH: Final = 100.0
FONT: Final = 15


def describe() -> str:
    """Return all that is drawn as text; it is stored in the picture."""
    return repr((LEVELS, WAYS))


def draw(path: Path) -> None:
    """Draw the diagram.

    Args:
        path: The PNG to write.

    Raises:
        ValueError: A text does not fit into its box; the message has the text.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 14))
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, 94))
    axes.set_axis_off()
    boxes = [*_draw_levels(axes), *_draw_ways(axes)]
    canvas.draw()
    for patch, texts in boxes:
        outer = patch.get_window_extent()
        for text in texts:
            inner = text.get_window_extent()
            if not (outer.x0 <= inner.x0 and inner.x1 <= outer.x1 and outer.y0 <= inner.y0 and inner.y1 <= outer.y1):
                raise ValueError(f'{text.get_text()!r} does not fit into its box; shorten it')
    figure.savefig(path, dpi=100, metadata={'Description': describe(), 'Software': None})


def _draw_levels(axes: Axes) -> list[tuple[Any, list[Any]]]:
    rows = [('tools', ('tools/*.py  =  resnest-mm NAME',), '#ffffff')]
    rows += [(name, rooms, COLOURS[level]) for level, (name, rooms) in reversed(list(enumerate(LEVELS)))]
    axes.text(2, 91, 'Rooms of resnest_mm', size=FONT + 5, weight='bold', va='center')
    axes.text(98, 91, 'a room imports only rooms further down', size=FONT, style='italic', va='center', ha='right')
    height = 37 / len(rows)
    pitch = 1.25 * height
    boxes = []
    for index, (name, rooms, colour) in enumerate(rows):
        y = 88 - height - index * pitch
        axes.text(2, y + height / 2, name, size=FONT, va='center', color='#555555')
        width = (WIDTH - 18 - 2) / len(rooms)
        for place, room in enumerate(rooms):
            x = 18 + place * width
            boxes.append(_draw_box(axes, x, y, width - 0.8, height, colour, room))
    axes.annotate(
        '',
        xy=(16, 88 - len(rows) * pitch),
        xytext=(16, 88),
        arrowprops={'arrowstyle': '-|>', 'lw': 2, 'color': '#555555'},
    )
    return boxes


def _draw_ways(axes: Axes) -> list[tuple[Any, list[Any]]]:
    axes.text(2, 36, 'Three ways through them', size=FONT + 5, weight='bold', va='center')
    height, boxes = 8.0, []
    for index, (name, steps) in enumerate(WAYS):
        y = 24.5 - index * (height + 3)
        axes.text(1.5, y + height / 2, name.replace(' ', '\n'), size=FONT + 1, weight='bold', va='center')
        width = (WIDTH - 13 - 1) / len(steps)
        for place, step in enumerate(steps):
            x = 13 + place * width
            room = step.room.partition('/')[0]
            level = next((level for level, (_, rooms) in enumerate(LEVELS) if room in rooms), None)
            colour = '#ffffff' if level is None else COLOURS[level]
            boxes.append(_draw_box(axes, x, y, width - 2.2, height, colour, step.title, step.text))
            if place:
                arrow = {'arrowstyle': '-|>', 'lw': 2, 'color': '#222222'}
                axes.annotate('', xy=(x, y + height / 2), xytext=(x - 2.2, y + height / 2), arrowprops=arrow)
    return boxes


def _draw_box(
    axes: Axes, x: float, y: float, width: float, height: float, colour: str, title: str, text: str = ''
) -> tuple[Any, list[Any]]:
    from matplotlib.patches import Rectangle

    patch = axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor='#444444'))
    middle = x + width / 2
    if not text:
        return patch, [axes.text(middle, y + height / 2, title, size=FONT, ha='center', va='center')]
    return patch, [
        axes.text(middle, y + height - 0.8, title, size=FONT - 1, weight='bold', ha='center', va='top'),
        axes.text(middle, y + 0.9, text, size=FONT - 2.5, ha='center', va='bottom', linespacing=1.25),
    ]


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('path', nargs='?', type=Path, default=Path(__file__).with_name('architecture.png'))
    draw(parser.parse_args().path)
