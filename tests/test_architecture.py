"""The rooms of the package: imports point down, form no circle, and a folder stays small enough to read at a glance."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / 'resnest_mm'
MOST_FILES = 12
HOSTS = {'mmdet': 'resnest_mm.detection', 'mmseg': 'resnest_mm.segmentation'}


def load_diagram() -> ModuleType:
    """Return the script that draws the diagram; it has the table of levels."""
    spec = importlib.util.spec_from_file_location('draw_architecture', REPOSITORY / 'docs' / 'draw_architecture.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


DIAGRAM = load_diagram()
LEVELS: tuple[tuple[str, tuple[str, ...]], ...] = DIAGRAM.LEVELS
ARCHITECTURE = (REPOSITORY / 'docs' / 'architecture.md').read_text(encoding='utf-8')
LEVEL_OF = {room: level for level, (_, rooms) in enumerate(LEVELS) for room in rooms}
FILES = {path: '.'.join(path.relative_to(REPOSITORY).with_suffix('').parts) for path in PACKAGE.rglob('*.py')}
MODULES = {name.removesuffix('.__init__'): path for path, name in FILES.items()}


def imported_by(path: Path) -> Iterator[str]:
    """Yield the name of every module that a file imports, also inside functions and for type checkers."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None and node.level == 0, f'{path}: line {node.lineno} imports relatively'
            full_names = (f'{node.module}.{alias.name}' for alias in node.names)
            yield from (name if name in MODULES else node.module for name in full_names)


FOLDERS = sorted(name for name, path in MODULES.items() if path.name == '__init__.py' and path.parent != PACKAGE)
IMPORTS = {name: sorted(set(imported_by(path))) for name, path in MODULES.items()}


def room_of(module: str) -> str | None:
    """Return the folder or file of `resnest_mm` that a module belongs to; None for the package itself."""
    parts = module.split('.')
    return parts[1] if parts[0] == 'resnest_mm' and len(parts) > 1 else None


def find_circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the nodes of one circle, the first of them at both ends; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


def test_every_room_has_a_level() -> None:
    """A new folder or file of resnest_mm gets a place in LEVELS of docs/draw_architecture.py."""
    rooms = [room for _, rooms in LEVELS for room in rooms]
    assert len(rooms) == len(set(rooms))
    shown = {path.stem for path in PACKAGE.iterdir() if path.suffix == '.py' and path.stem != '__init__'}
    shown |= {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob('*.py'))}
    assert set(rooms) == shown


def test_a_room_imports_only_lower_rooms() -> None:
    """An import from the same or a higher level would tie together what can be read one after another."""
    found = set()
    for module, names in IMPORTS.items():
        room = room_of(module)
        for name in names:
            other = room_of(name)
            if room is not None and other is not None and room != other and LEVEL_OF[other] >= LEVEL_OF[room]:
                found.add((module, name))
    assert sorted(found) == []


def test_no_room_imports_the_package_itself() -> None:
    """The names in resnest_mm/__init__.py are for users; inside, a name is imported from the file that defines it."""
    assert [module for module, names in IMPORTS.items() if module != 'resnest_mm' and 'resnest_mm' in names] == []


def test_modules_form_no_circle() -> None:
    """A circle that a late import hides is a circle all the same; imports for type checkers are included."""
    graph = {module: [name for name in names if name in MODULES] for module, names in IMPORTS.items()}
    assert find_circle(graph) == []


@pytest.mark.parametrize('package', FOLDERS)
def test_what_a_folder_shows_forms_no_circle(package: str) -> None:
    """The files and folders directly in a folder can be read in an order in which each needs only earlier ones."""
    depth = package.count('.') + 1
    graph: dict[str, set[str]] = {}
    for module, names in IMPORTS.items():
        inside = [name for name in (module, *names) if name.startswith(f'{package}.')]
        if inside and inside[0] == module:
            shown = [name.split('.')[depth] for name in inside]
            graph.setdefault(shown[0], set()).update(set(shown) - {shown[0]})
    assert find_circle(graph) == []


@pytest.mark.parametrize('host', HOSTS)
def test_a_host_is_imported_by_its_room_alone(host: str) -> None:
    """What is used with one host must load without the other."""
    users = [module for module, names in IMPORTS.items() if any(name.split('.')[0] == host for name in names)]
    assert users and [module for module in users if not module.startswith(f'{HOSTS[host]}.')] == []


def test_the_package_does_not_know_its_users() -> None:
    """Tools, tests and configs import the package, never the other way round."""
    outside = {'configs', 'docs', 'tests', 'tools'}
    assert [(m, n) for m, names in IMPORTS.items() for n in names if n.split('.')[0] in outside] == []


def test_a_folder_shows_at_most_a_dozen_files() -> None:
    """More than that is two rooms."""
    counts = {'/'.join(path.parent.relative_to(PACKAGE).parts): 0 for path in FILES}
    for path in FILES:
        counts['/'.join(path.parent.relative_to(PACKAGE).parts)] += 1
    assert {folder: count for folder, count in counts.items() if count > MOST_FILES} == {}


def test_the_ways_lead_through_rooms_that_exist() -> None:
    """The diagram names folders and files; a renamed one must be renamed there too."""
    rooms = [step.room for _, steps in DIAGRAM.WAYS for step in steps if step.room]
    assert len(rooms) > 8
    assert [room for room in rooms if not ((PACKAGE / room).is_dir() or (PACKAGE / f'{room}.py').is_file())] == []


def test_the_picture_is_drawn_from_the_table(tmp_path: Path) -> None:
    """After a change of the table: python docs/draw_architecture.py. A text that does not fit its box is an error."""
    with Image.open(REPOSITORY / 'docs' / 'architecture.png') as stored:
        assert stored.info['Description'] == DIAGRAM.describe()
    DIAGRAM.draw(tmp_path / 'drawn.png')
    with Image.open(tmp_path / 'drawn.png') as drawn:
        assert drawn.size == (1500, 1400)


def test_every_room_is_on_the_page() -> None:
    """The picture has the names alone; the page says what is in each room."""
    rows = [line.split('|')[1:3] for line in ARCHITECTURE.splitlines() if line.startswith('| `')]
    described = {name.strip(' `'): text for name, text in rows}
    assert set(described) == set(LEVEL_OF)
    assert all(text.strip() for text in described.values())
