"""Stuff maps agree with the panoptic maps, and all or none of them are written."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from resnest_mm.annotations.panoptic_map import segment_ids
from resnest_mm.annotations.stuff_maps import stuff_labels, stuff_map, write_stuff_maps
from resnest_mm.demo_data import DemoSettings, draw_scene, write_demo_data
from tests.support.progress_bars import record_bars

TINY = DemoSettings(images=2, size=64)
Main = Callable[[Sequence[str]], int]


@pytest.fixture(scope='module')
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_data(tmp_path_factory.mktemp('tiny') / 'demo', settings=TINY)


@pytest.fixture(scope='module')
def main() -> Main:
    path = Path(__file__).parents[2] / 'tools' / 'make_stuff_maps.py'
    spec = importlib.util.spec_from_file_location('make_stuff_maps', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def read(path: Path) -> NDArray[Any]:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return np.asarray(picture)


def test_stuff_is_numbered_by_its_id_and_things_are_zero() -> None:
    categories = [
        {'id': 200, 'isthing': 0},
        {'id': 1, 'isthing': 1},
        {'id': 92, 'isthing': 0},
        {'id': 90, 'isthing': 1},
        {'id': 100, 'isthing': 0},
    ]
    assert stuff_labels(categories) == {1: 0, 90: 0, 92: 1, 100: 2, 200: 3}


def test_map_holds_the_label_of_each_segment_and_255_elsewhere() -> None:
    """Segments are told apart by all three bytes."""
    numbers = np.array([[0, 1, 256], [65536, 65537, 7]])
    picture = np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16], 2).astype(np.uint8)
    segments = [
        {'id': 1, 'category_id': 92},
        {'id': 256, 'category_id': 1},
        {'id': 65537, 'category_id': 100},
        {'id': 65536, 'category_id': 1},
    ]
    drawn = stuff_map(segment_ids(picture), segments, labels={1: 0, 92: 1, 100: 2})
    assert drawn.dtype == np.uint8
    assert drawn.tolist() == [[255, 1, 0], [0, 2, 255]]


def test_tool_writes_every_map(main: Main, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / 'stuff'
    assert main([str(tiny / 'annotations' / 'panoptic_val.json'), str(tiny / 'panoptic' / 'val'), str(out)]) == 0
    assert capsys.readouterr().out == f'{out}: 8 maps\n'
    assert sorted(path.name for path in out.iterdir()) == [f'{index:06d}.png' for index in range(8)]
    for index in range(8):
        np.testing.assert_array_equal(read(out / f'{index:06d}.png'), draw_scene(TINY, 'val', index).semantic == 0)
    assert [path.name for path in tmp_path.iterdir()] == ['stuff']


def test_existing_folder_is_left_alone(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='exists; move it away'):
        write_stuff_maps(tiny / 'annotations' / 'panoptic_val.json', tiny / 'panoptic' / 'val', tmp_path)


def test_a_bar_counts_the_maps(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = record_bars(monkeypatch, 'resnest_mm.annotations.stuff_maps')
    write_stuff_maps(tiny / 'annotations' / 'panoptic_val.json', tiny / 'panoptic' / 'val', tmp_path / 'stuff')
    assert [(bar.n, bar.total) for bar in bars] == [(8, 8)]
