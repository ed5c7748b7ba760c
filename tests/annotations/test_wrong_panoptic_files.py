"""Wrong panoptic files and maps are refused with every fault listed, and nothing is written, least of all elsewhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnest_mm.annotations.stuff_maps import write_stuff_maps
from resnest_mm.demo_data import DemoSettings, write_demo_data

Tool = Callable[[str, Sequence[str]], int]
Edit = Callable[[dict[str, Any]], object]
TINY = DemoSettings(images=2, size=64)


@pytest.fixture(scope='module')
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_data(tmp_path_factory.mktemp('tiny') / 'demo', settings=TINY)


class Inputs:
    """A panoptic file, its eight maps, and a folder that is not there yet."""

    def __init__(self, root: Path, demo: Path) -> None:
        self.root = root
        self.json, self.maps, self.out = root / 'panoptic.json', root / 'maps', root / 'stuff'
        shutil.copy(demo / 'annotations' / 'panoptic_val.json', self.json)
        shutil.copytree(demo / 'panoptic' / 'val', self.maps)

    def arguments(self) -> list[str]:
        return [str(path) for path in (self.json, self.maps, self.out)]

    def edit(self, change: Edit) -> None:
        content = json.loads(self.json.read_text())
        change(content)
        self.json.write_text(json.dumps(content))

    def state(self) -> dict[str, bytes | None]:
        paths = sorted(self.root.rglob('*'))
        return {str(path): path.read_bytes() if path.is_file() else None for path in paths}

    def refused(self, *, out: Path | None = None, maps: Path | None = None) -> list[str]:
        """Return the lines of the error, after seeing that no file has changed."""
        before = self.state()
        with pytest.raises(ValueError) as caught:
            write_stuff_maps(self.json, maps or self.maps, out or self.out)
        assert self.state() == before
        return str(caught.value).splitlines()


@pytest.fixture
def inputs(tmp_path: Path, demo: Path) -> Inputs:
    return Inputs(tmp_path, demo)


def named(*names: Any) -> Edit:
    """Give the first maps other names."""

    def change(content: dict[str, Any]) -> None:
        for entry, name in zip(content['annotations'], names, strict=False):
            entry['file_name'] = name

    return change


BAD_NAME = 'no plain file name (without folder)'
CONTENTS: dict[str, tuple[Edit, str]] = {
    'up': (named('../panoptic.png'), BAD_NAME),
    'absolute': (named('/tmp/out.png'), BAD_NAME),
    'below': (named('a/b.png'), BAD_NAME),
    'Windows path': (named('..\\b.png'), BAD_NAME),
    'Windows drive': (named('C:b.png'), BAD_NAME),
    'line break': (named('a\nb.png'), BAD_NAME),
    'escape sequence': (named('\x1b[2Ja.png'), BAD_NAME),
    'nul': (named('a\0.png'), BAD_NAME),
    'half a character': (named('\ud800.png'), BAD_NAME),
    'too long': (named(252 * 'a' + '.png'), BAD_NAME),
    'empty': (named(''), BAD_NAME),
    'dots': (named('..'), BAD_NAME),
    'number': (named(3), BAD_NAME),
    'list': (named(['a.png']), BAD_NAME),
    'JPEG': (named('000000.jpg'), 'do not end with .png'),
    'the same name twice': (named('000001.png'), 'file_name values that stand there more than once: 1'),
    'the same name in capitals': (named('a.png', 'A.PNG'), 'file_name values that stand there more than once: 1'),
    'missing map': (named('999.png'), 'missing maps: 1'),
    'the same image twice': (lambda c: c['annotations'][0].update(image_id=2), 'with more than one map: 1, such as 2'),
    'unknown image': (lambda c: c['annotations'][0].update(image_id=99), 'its images do not list: 1, such as 99'),
    'image without number': (lambda c: c['annotations'][0].update(image_id=None), 'image_id values that are no int'),
    'size of the image': (lambda c: c['images'][0].update(width=65), 'another size than their image: 1'),
    'no size': (lambda c: c['images'][0].update(width=0), 'whose width and height are no positive integers'),
    'size in a text': (lambda c: c['images'][0].update(height='64'), 'whose width and height are no positive'),
    'unknown category': (lambda c: c['annotations'][0]['segments_info'][0].update(category_id=77), 'does not list'),
    'category twice': (lambda c: c['categories'].append(c['categories'][0]), 'categories with the same id: 1'),
    'neither thing nor stuff': (lambda c: c['categories'][0].update(isthing='0'), 'neither 0 nor 1'),
    'segment twice': (lambda c: c['annotations'][0]['segments_info'][0].update(id=2), 'two segments of the same id'),
    'segment 0': (lambda c: c['annotations'][0]['segments_info'][0].update(id=0), 'is not in 1..16777215'),
    'segment is a text': (lambda c: c['annotations'][0]['segments_info'][0].update(id='1'), 'holds no segments'),
    'no segments': (lambda c: c['annotations'][0].pop('segments_info'), 'holds no segments; it should be a panoptic_'),
    'no categories': (lambda c: c.pop('categories'), 'holds no segments; it should be a panoptic_*.json'),
    'no maps': (lambda c: c['annotations'].clear(), 'lists no maps'),
    'areas of other segments': (
        lambda c: [segment.update(area=9000) for segment in c['annotations'][0]['segments_info']],
        'other areas than listed',
    ),
}


@pytest.mark.parametrize('case', CONTENTS)
def test_a_wrong_panoptic_file_is_refused(inputs: Inputs, case: str) -> None:
    """A name can neither leave OUT nor replace an input, and numbers that contradict each other make no map."""
    edit, message = CONTENTS[case]
    inputs.edit(edit)
    (line,) = inputs.refused()
    assert message in line
    assert line.isprintable()


@pytest.mark.parametrize('text', ['', '[', 100_000 * '[', '[]', '3', '{"annotations": {}}', '\ufeff{}'])
def test_another_json_file_is_refused(inputs: Inputs, text: str) -> None:
    """An empty, cut, nested or foreign file ends with a message that names it."""
    inputs.json.write_text(text)
    (line,) = inputs.refused()
    assert line.startswith(f"annotations='{inputs.json}'")


def test_all_faults_are_listed_at_once(inputs: Inputs) -> None:
    """A user mends everything in one go: each kind has a line with its number and examples."""

    def change(content: dict[str, Any]) -> None:
        named('../a.png', '/b.png', 'c/d.png', '../e.png', '000006.png')(content)
        content['annotations'][5]['image_id'] = 1
        content['annotations'][7]['segments_info'][0]['category_id'] = 50

    inputs.edit(change)
    lines = [line.partition(' has ')[2] for line in inputs.refused()]
    assert lines == [
        "file_name values that are no plain file name (without folder): 4, such as '../a.png', '/b.png', 'c/d.png' "
        'and 1 more',
        "file_name values that stand there more than once: 1, such as '000006.png'",
        'image_id values with more than one map: 1, such as 1',
        'segments of a category that it does not list, by category: 1, such as 50',
    ]


def save(picture: Any) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(picture).save(path, 'PNG')


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


SQUARE = np.ones((64, 64), np.uint8)
MAPS: dict[str, tuple[Callable[[Path], object], str]] = {
    'empty': (lambda path: path.write_bytes(b''), 'maps that are no PNG'),
    'text': (lambda path: path.write_text('<html>'), 'maps that are no PNG'),
    'JPEG': (lambda path: Image.open(path).save(path, 'JPEG'), 'maps that are no PNG'),
    'cut': (lambda path: path.write_bytes(path.read_bytes()[:-60]), 'maps that are damaged'),
    'a changed byte': (flip, 'maps that are damaged'),
    'one channel': (save(SQUARE), 'maps with one channel, a palette'),
    'palette': (lambda path: Image.open(path).quantize(8).save(path), 'maps with one channel, a palette'),
    'transparent': (lambda path: Image.open(path).convert('RGBA').save(path), 'maps with one channel, a palette'),
    '16 bits': (save(SQUARE.astype(np.uint16)), 'maps with one channel, a palette'),
    'other size': (lambda path: Image.open(path).resize((32, 64), 0).save(path), 'another size than their image'),
    'all void': (lambda path: Image.new('RGB', (64, 64)).save(path), 'colours are not the ids of their segments'),
    'colours of classes': (
        lambda path: Image.new('RGB', (64, 64), (128, 64, 128)).save(path),
        'colours are not the ids of their segments',
    ),
    'one segment everywhere': (
        lambda path: Image.new('RGB', (64, 64), (1, 0, 0)).save(path),
        'other areas than listed',
    ),
    'folder': (lambda path: (path.unlink(), path.mkdir()), 'missing maps'),
    'link to nothing': (lambda path: (path.unlink(), path.symlink_to('nothing')), 'missing maps'),
}


@pytest.mark.parametrize('case', MAPS)
def test_a_wrong_map_is_refused(inputs: Inputs, case: str) -> None:
    """One bad map among good ones leaves no folder of stuff maps."""
    damage, message = MAPS[case]
    damage(inputs.maps / '000004.png')
    (line,) = inputs.refused()
    assert message in line
    assert line.endswith(": 1, such as '000004.png'")


def test_maps_of_another_split_are_refused_though_their_names_and_ids_fit(inputs: Inputs, demo: Path) -> None:
    """A wrong MAPS folder is found by its content: today's maps would hold the labels of other images."""
    for path in inputs.maps.iterdir():
        path.write_bytes((demo / 'panoptic' / 'train' / '000000.png').read_bytes())
    assert any('is it the folder of this file?' in line for line in inputs.refused())


def test_a_map_that_is_mostly_of_no_segment_is_refused(inputs: Inputs) -> None:
    """One number in common by chance does not make it the map of the image, also where the file has no areas."""

    def change(content: dict[str, Any]) -> None:
        content['annotations'][0]['segments_info'] = [{'id': 1, 'category_id': 1}]

    inputs.edit(change)
    Image.fromarray(
        np.dstack([np.where(np.arange(64) < 20, 1, 77) * SQUARE, 0 * SQUARE, 0 * SQUARE]).astype(np.uint8)
    ).save(inputs.maps / '000000.png')
    assert 'colours are not the ids of their segments' in inputs.refused()[0]


def test_a_folder_of_wrong_maps_is_not_read_to_its_end(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong folder of 118,000 maps is refused after a hundred."""
    monkeypatch.setattr('resnest_mm.annotations.stuff_maps._ENOUGH', 3)
    for path in inputs.maps.iterdir():
        Image.new('RGB', (64, 64)).save(path)
    (line,) = inputs.refused()
    assert ': 3, such as' in line


@pytest.mark.parametrize('place', ['maps', 'maps/stuff', '.', 'panoptic.json', 'panoptic.json/stuff', 'link/stuff'])
def test_a_folder_among_the_inputs_is_refused(inputs: Inputs, place: str) -> None:
    """OUT is never an input, inside one or around one, with links followed."""
    (inputs.root / 'link').symlink_to('maps')
    (line,) = inputs.refused(out=inputs.root / place)
    assert 'is, holds or lies in' in line


def test_an_existing_folder_and_a_link_to_nothing_are_left_alone(inputs: Inputs) -> None:
    """OUT is never replaced, and never written through a link."""
    inputs.out.symlink_to(inputs.root / 'elsewhere')
    assert 'exists; move it away' in inputs.refused()[0]
    inputs.out.unlink()
    inputs.out.mkdir()
    assert 'exists; move it away' in inputs.refused()[0]


def test_no_folder_of_maps_is_named(inputs: Inputs) -> None:
    """The argument MAPS is named, not the first map in it."""
    assert 'is no folder; name the folder of the panoptic maps' in inputs.refused(maps=inputs.root / 'none')[0]


def test_odd_pixels_are_a_warning(inputs: Inputs, tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    """Pixels of no segment, and a segment without pixels, may be right: the maps are written and the user is told."""
    first, second = inputs.maps / '000000.png', inputs.maps / '000001.png'
    picture = np.array(Image.open(first))
    picture[:2, :2] = 200
    Image.fromarray(picture).save(first)
    inputs.edit(lambda c: c['annotations'][1]['segments_info'].append({'id': 99, 'category_id': 1}))
    assert tool('make_stuff_maps', inputs.arguments()) == 0
    assert np.array(Image.open(inputs.out / first.name))[:2, :2].tolist() == [[255, 255], [255, 255]]
    warnings = capsys.readouterr().err.splitlines()
    assert [line.split(' has ')[1] for line in warnings] == [
        f"maps with colours of no segment, which become 255: 1, such as '{first.name}'",
        f"maps without a pixel of one of their segments: 1, such as '{second.name}'",
    ]


def test_an_interrupted_tool_leaves_nothing(
    inputs: Inputs, tool: Tool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl+C in the middle of the maps: no folder, no temporary files, exit code 130."""

    def interrupt(path: Path, **_: Any) -> None:
        raise KeyboardInterrupt

    before = inputs.state()
    monkeypatch.setattr('resnest_mm.annotations.stuff_maps.read_panoptic_map', interrupt)
    assert tool('make_stuff_maps', inputs.arguments()) == 130
    assert inputs.state() == before
    assert capsys.readouterr().err == 'make_stuff_maps: interrupted, nothing was written\n'


def test_the_tool_prints_a_line_for_each_fault(inputs: Inputs, tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and each line names the tool."""
    inputs.edit(named('../a.png', '000001.png', '000001.png'))
    assert tool('make_stuff_maps', inputs.arguments()) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith('make_stuff_maps: annotations=') for line in lines)
