"""The semantic maps of Panoptic FPN are checked with the labels of its semantic head."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from resnest_mm.demo_data import DemoSettings, write_demo_data
from resnest_mm.paths import config_path
from resnest_mm.training.data_check.check import check_datasets
from resnest_mm.training.data_check.finding import Finding
from tests.support.shipped_configs import read
from tests.support.tiny_configs import SIZE, shrink

NAME = 'detection/panoptic-fpn_s200_fpn_3x_coco'


@pytest.fixture(scope='module')
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Return the shipped recipe on a generated data set with stuff maps, which the tests only read."""
    data = tmp_path_factory.mktemp('data') / 'demo'
    write_demo_data(data, settings=DemoSettings(images=4, size=SIZE))
    cfg = shrink(read(config_path(NAME)), data, whole=False)
    cfg.model.semantic_head.num_stuff_classes = 1
    return cfg


@pytest.fixture
def cfg(shipped: Config, tmp_path: Path) -> Config:
    """Return the recipe on stuff maps of its own."""
    own = shipped.copy()
    root = Path(own.train_dataloader.dataset.data_root)
    shutil.copytree(root / 'stuff' / 'train', tmp_path / 'stuff')
    own.train_dataloader.dataset.data_prefix.seg = str(tmp_path / 'stuff')
    return own


def found(cfg: Config, severity: str = 'error') -> list[Finding]:
    return [item for item in check_datasets(cfg, splits=('train',)) if item.severity == severity]


def test_the_shipped_recipe_has_no_fault(shipped: Config) -> None:
    """Maps of tools/make_stuff_maps.py pass."""
    assert found(shipped) == []


SECOND_STUFF = np.full((SIZE, SIZE), 2, np.uint8)  # the generated data has one kind of stuff

FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    'values': (lambda path: Image.fromarray(SECOND_STUFF).save(path), 'values that are no class'),
    'size': (lambda path: Image.fromarray(np.zeros((SIZE, 8), np.uint8)).save(path), 'of another size'),
    'colours': (lambda path: Image.new('RGB', (SIZE, SIZE)).save(path), 'several channels'),
    'damage': (lambda path: path.write_bytes(path.read_bytes()[:-20]), 'cannot be read'),
    'missing': (lambda path: path.unlink(), 'do not exist'),
}


@pytest.mark.parametrize('case', FAULTS)
def test_a_damaged_stuff_map_is_found(case: str, cfg: Config) -> None:
    """A label beyond the last kind of stuff, colours, and a map of another size are no labels of the image."""
    damage, text = FAULTS[case]
    damage(Path(cfg.train_dataloader.dataset.data_prefix.seg) / '000001.png')
    (finding,) = found(cfg)
    assert text in str(finding)
    assert finding.count == 1


def test_the_panoptic_maps_in_place_of_the_stuff_maps_are_refused(cfg: Config) -> None:
    """The folder that make_stuff_maps.py reads and the one that it writes are easily mixed up."""
    root = Path(cfg.train_dataloader.dataset.data_root)
    cfg.train_dataloader.dataset.data_prefix.seg = str(root / 'panoptic' / 'train')
    (finding,) = found(cfg)
    assert 'several channels' in str(finding)


def test_an_unknown_semantic_head_gets_a_note(cfg: Config) -> None:
    """Labels of a head of the user's own are not judged by those of another one."""
    cfg.model.semantic_head.type = 'OwnHead'
    assert any('the semantic maps were not checked' in str(item) for item in found(cfg, 'note'))


def test_stuff_maps_of_an_unlisted_image_do_not_matter(cfg: Config) -> None:
    """A folder may hold the maps of more images than the data set has."""
    path = Path(cfg.train_dataloader.dataset.data_prefix.seg) / 'another.png'
    path.write_bytes(b'')
    assert found(cfg) == []
