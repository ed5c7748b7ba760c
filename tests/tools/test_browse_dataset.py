"""`tools/browse_dataset.py` from start to end: its files, the pictures in them, and the mistakes that it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from resnest_mm.demo_data import PALETTE, DemoSettings, write_demo_data
from resnest_mm.drawing.annotate import MAP_OPACITY
from resnest_mm.drawing.grid import SheetGrid
from resnest_mm.drawing.palette import class_colour
from tests.support.tool_runs import forget_runs

pytest.importorskip('mmdet', reason='draws the data of a detector')

Tool = Callable[[str, Sequence[str]], int]

SIZE = 64
DETECTOR = 'demo/faster-rcnn_s14_fpn_demo'
PIPELINE = 'train_dataloader.dataset.pipeline'
SEGMENTER = 'demo/deeplabv3_s14-d8_demo'


@pytest.fixture(scope='module')
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_data(tmp_path_factory.mktemp('demo') / 'data', settings=DemoSettings(images=6, size=SIZE))


@pytest.fixture(autouse=True)
def _forget() -> None:
    forget_runs()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def picture(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as opened:
        assert opened.format == 'PNG'
        return np.asarray(opened.convert('RGB'))


def test_a_detector(demo: Path, tmp_path: Path, tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    """The box of the file, resized from 64 to 128 pixels and drawn at 640, has its class's colour."""
    out = tmp_path / 'new' / 'look'
    arguments = [DETECTOR, str(out), '--number', '3', '--cfg-options', f'data_root={demo}']
    assert tool('browse_dataset', arguments) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ['3 of 6 train images', str(out / 'sheet.png')]
    pictures = ['0000_000000.png', '0002_000002.png', '0005_000005.png']
    assert sorted(files(out)) == [*pictures, 'browse.json', 'sheet.png']
    assert json.loads((out / 'browse.json').read_text()) == {
        'config': 'faster-rcnn_s14_fpn_demo',
        'split': 'train',
        'images': 6,
        'seed': 0,
        'files': [*pictures, 'browse.json', 'sheet.png'],
    }
    assert sorted(path.name for path in out.parent.iterdir()) == ['look'], 'no temporary folder is left'

    content = json.loads((demo / 'annotations' / 'instances_train.json').read_text())
    boxes = [item for item in content['annotations'] if item['image_id'] == content['images'][2]['id']]
    x, y = SheetGrid((640, 640), 1, 1, 1).corner(0, 0)
    shown = picture(out / '0002_000002.png')[y : y + 640, x : x + 640]
    variants = [shown, shown[:, ::-1], shown[::-1]]  # the flip is the seed's
    largest = max(boxes, key=lambda item: item['bbox'][2] * item['bbox'][3])
    left, top, _, height = (10 * value for value in largest['bbox'])
    colour = class_colour(largest['category_id'] - content['categories'][0]['id'])
    edge = [(round(top + height * share), round(left)) for share in (0.3, 0.4, 0.5, 0.6, 0.7)]
    hits = [
        sum((flipped[py - 1 : py + 2, px - 3 : px + 4] == colour).all(-1).any() for py, px in edge)
        for flipped in variants
    ]
    assert max(hits) == len(edge)


def test_a_segmentor(demo: Path, tmp_path: Path, tool: Tool) -> None:
    """The validation pipeline changes only the size of an image, so every pixel must have the colour of its label."""
    pytest.importorskip('mmseg', reason='draws the data of a segmentor')
    out = tmp_path / 'look'
    arguments = [SEGMENTER, str(out), '--split', 'val', '--cfg-options', f'data_root={demo}']
    assert tool('browse_dataset', arguments) == 0
    seen = set()
    for name in sorted(set(files(out)) - {'browse.json', 'sheet.png'}):
        labels = np.asarray(Image.open(demo / 'semantic' / 'val' / f'{name[5:-4]}.png'))
        raw = np.asarray(Image.open(demo / 'val' / f'{name[5:-4]}.jpg')).astype(float)
        # The panel ends where the margin begins; above it is a legend of one or two lines.
        panel = picture(out / name)[-24 - 640 : -24, 24 : 24 + 640].astype(float)
        for row, column in np.ndindex(SIZE - 4, SIZE - 4):
            around = slice(row, row + 5), slice(column, column + 5)
            label = int(labels[row + 2, column + 2])
            # Away from edges, where both resizes mix neighbours.
            if (labels[around] == label).all() and np.ptp(raw[around], axis=(0, 1)).max() < 40:
                image, drawn = raw[row + 2, column + 2], panel[10 * row + 25, 10 * column + 25]
                np.testing.assert_allclose(drawn, image + MAP_OPACITY * (np.array(PALETTE[label]) - image), atol=20)
                seen.add(label)
    assert len(seen) >= 4


def test_steps_are_drawn_side_by_side(demo: Path, tmp_path: Path, tool: Tool) -> None:
    """Five steps: three panels in the first row, two in the second; the first without boxes."""
    out = tmp_path / 'look'
    arguments = [DETECTOR, str(out), '--stages', '--number', '1', '--cfg-options', f'data_root={demo}']
    assert tool('browse_dataset', arguments) == 0
    (name,) = sorted(set(files(out)) - {'browse.json', 'sheet.png'})
    grid = SheetGrid((420, 420), 1, 3, 2)
    shown = picture(out / name)
    assert shown.shape[:2] == grid.size[::-1]
    content = json.loads((demo / 'annotations' / 'instances_train.json').read_text())
    index = int(name[:4])
    labels = {
        item['category_id'] - content['categories'][0]['id']
        for item in content['annotations']
        if item['image_id'] == content['images'][index]['id']
    }
    for panel in range(5):
        x, y = grid.corner(panel, 0)
        part = shown[y : y + 420, x : x + 420]
        counts = [(part == class_colour(label)).all(-1).sum() for label in labels]
        assert min(counts) > 100 if panel else max(counts) < 50


def test_the_same_seed_draws_the_same_bytes(demo: Path, tmp_path: Path, tool: Tool) -> None:
    """Another seed flips other images, and an image does not depend on how many others are drawn."""
    written = {}
    for name, options in (('a', []), ('b', []), ('c', ['--seed', '1']), ('d', ['--number', '6'])):
        out = tmp_path / name
        arguments = [DETECTOR, str(out), '--number', '2', *options, '--cfg-options', f'data_root={demo}']
        assert tool('browse_dataset', arguments) == 0
        written[name] = files(out)
    assert written['a'] == written['b']
    assert written['a']['sheet.png'] != written['c']['sheet.png']
    assert len(written['d']) == 8
    assert written['d']['0005_000005.png'] == written['a']['0005_000005.png']


def test_an_earlier_run_is_replaced(demo: Path, tmp_path: Path, tool: Tool) -> None:
    """Pictures that the new run does not draw are gone."""
    out = tmp_path / 'look'
    for number in ('4', '1'):
        arguments = [DETECTOR, str(out), '--number', number, '--cfg-options', f'data_root={demo}']
        assert tool('browse_dataset', arguments) == 0
    assert sorted(files(out)) == ['0003_000003.png', 'browse.json', 'sheet.png']


ROWS: list[tuple[str, tuple[str, ...], str]] = [
    ('no image', ('{out}', '--number', '0'), 'number=0 must be at least 1'),
    ('negative seed', ('{out}', '--seed', '-1'), 'seed=-1 must lie in 0..4294967295'),
    ('unknown split', ('{out}', '--split', 'all'), "invalid choice: 'all'"),
    ('missing data', ('{out}', '--cfg-options', 'data_root=nowhere'), 'data root nowhere does not exist'),
    ('foreign file', ('{root}/mine',), "holds 'notes.txt', which is not from this tool; choose another folder"),
    ('a foreign file more', ('{root}/ours',), "holds 'notes.txt', which is not from this tool"),
    ('foreign folder', ('{root}',), "holds 'data', which is not from this tool"),
    ('below a file', ('{root}/mine/notes.txt/look',), 'notes.txt, which is no folder; choose another name'),
    ('file as folder', ('{root}/mine/notes.txt',), 'exists and is no folder'),
    (
        'missing image',
        ('{out}', '--no-data-check'),
        'image 1 of the data set: step 1 LoadImageFromFile of its pipeline: FileNotFoundError',
    ),
    ('missing image and a check', ('{out}',), '1 of 6 image files do not exist'),
    ('missing split', ('{out}', '--split', 'test', '--cfg-options', 'test_dataloader=None'), 'no test_dataloader'),
    (
        'unknown transform',
        ('{out}', '--cfg-options', '{pipeline}.3.type=RandomFlop'),
        f"{PIPELINE}.3.type='RandomFlop' is not in the mmdet::transform registry",
    ),
    (
        'wrong data set',
        ('{out}', '--cfg-options', 'train_dataloader.dataset.colour=7'),
        'train_dataloader.dataset: the data set cannot be built: TypeError',
    ),
    (
        'nothing packed',
        ('{out}', '--cfg-options', '{pipeline}.4.type=RandomFlip', '{pipeline}.4.prob=0.5'),
        'the pipeline ends with 5 RandomFlip and returns no packed image; end it with PackDetInputs or PackSegInputs',
    ),
]


@pytest.mark.parametrize(('argv', 'message'), [pytest.param(*row[1:], id=row[0]) for row in ROWS])
def test_mistakes(
    demo: Path, tmp_path: Path, tool: Tool, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], message: str
) -> None:
    """One line, exit code 2, and nothing written, not even a parent of the folder."""
    data = tmp_path / 'data'
    shutil.copytree(demo, data)
    if 'FileNotFoundError' in message or 'image files' in message:
        (data / 'train' / '000001.jpg').unlink()
    for name, owned in (('mine', None), ('ours', ['0000_a.png', 'browse.json'])):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'notes.txt').write_text('mine')
        if owned:
            (tmp_path / name / 'browse.json').write_text(json.dumps({'files': owned}))
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob('*')}
    arguments = [text.format(out=tmp_path / 'deep' / 'look', root=tmp_path, pipeline=PIPELINE) for text in argv]
    options = [] if any(text.startswith('data_root=') for text in arguments) else [f'data_root={data}']
    if '--cfg-options' not in arguments:
        arguments.append('--cfg-options')

    assert tool('browse_dataset', [DETECTOR, *arguments, *options]) == 2

    printed = capsys.readouterr()
    assert printed.err.startswith('error: ') and printed.err.count('\n') == 1, printed.err
    assert message in printed.err
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob('*')} == before
