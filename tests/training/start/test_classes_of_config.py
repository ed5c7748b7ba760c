"""The classes that a checkpoint is compared with, in recipes whose test also has stuff."""

from __future__ import annotations

from typing import Any

import pytest
from mmengine.config import Config

pytest.importorskip('mmdet', reason="the data sets are mmdet's")

from resnest_mm.training.start.classes import classes_of_config

THINGS, STUFF = ('disc', 'square'), ('sky', 'ground')
PANOPTIC = {
    'type': 'CocoPanopticDataset',
    'metainfo': {'classes': (*THINGS, *STUFF), 'thing_classes': THINGS, 'stuff_classes': STUFF},
}
BOXES = {'type': 'CocoDataset', 'metainfo': {'classes': THINGS}}


def config(train: dict[str, Any], test: dict[str, Any]) -> Config:
    loaders = {
        f'{split}_dataloader': {'dataset': {**node, 'ann_file': 'list.json', 'data_prefix': {'img': 'images'}}}
        for split, node in (('train', train), ('test', test))
    }
    return Config({'default_scope': 'mmdet', **loaders})


@pytest.mark.parametrize(
    ('train', 'test', 'expected'),
    [
        (BOXES, BOXES, THINGS),
        (BOXES, PANOPTIC, THINGS),
        (PANOPTIC, PANOPTIC, (*THINGS, *STUFF)),
        ({**BOXES, 'metainfo': {'classes': ('square', 'disc')}}, PANOPTIC, (*THINGS, *STUFF)),
    ],
    ids=['boxes', 'boxes-and-stuff-maps', 'panoptic-files', 'things-in-another-order'],
)
def test_a_model_that_learns_boxes_and_stuff_maps_has_the_classes_of_its_boxes(
    train: dict[str, Any], test: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """The panoptic recipe stores the things of its training; its panoptic test has the stuff classes after them."""
    assert classes_of_config(config(train, test), split='test') == expected
    assert classes_of_config(config(train, test), split='train') == tuple(train['metainfo']['classes'])
