"""Which objects and images of a COCO file are trained on: detectron2's rule, against the same written out in a loop."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('mmdet', reason='the data set builds on mmdet')

from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.registry import DATASETS
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

CLASSES = ('disc', 'square')
GOOD, SHORT, ODD = [10, 10, 20, 10, 20, 20], [10, 10, 20, 20], [10, 10, 20, 10, 20, 20, 5]
CROWD = {'size': [50, 60], 'counts': [0, 3000]}


def annotation(segmentation: Any, *, crowd: bool = False, category: int = 1) -> dict[str, Any]:
    found = {'category_id': category, 'bbox': [10, 10, 10, 10], 'area': 50, 'iscrowd': int(crowd)}
    return found if segmentation is None else {**found, 'segmentation': segmentation}


def data_set(
    folder: Path,
    images: Sequence[Sequence[Mapping[str, Any]]],
    *,
    kind: str = 'resnest_mm.Detectron2CocoDataset',
    filter_empty: bool | None = True,
    test_mode: bool = False,
) -> Any:
    """Build a data set of images with these annotations."""
    annotations = []
    for image, objects in enumerate(images):
        for each in objects:
            annotations.append({**each, 'id': len(annotations) + 1, 'image_id': image + 1})
    whole = {
        'images': [
            {'id': image + 1, 'file_name': f'{image}.jpg', 'width': 60, 'height': 50} for image in range(len(images))
        ],
        'annotations': annotations,
        'categories': [{'id': index + 1, 'name': name} for index, name in enumerate((*CLASSES, 'other'))],
    }
    (folder / 'list.json').write_text(json.dumps(whole))
    with DefaultScope.overwrite_default_scope('mmdet'):
        return DATASETS.build(
            {
                'type': kind,
                'ann_file': str(folder / 'list.json'),
                'data_prefix': {'img': 'images/'},
                'metainfo': {'classes': CLASSES},
                'filter_cfg': None if filter_empty is None else {'filter_empty_gt': filter_empty, 'min_size': 0},
                'test_mode': test_mode,
                'pipeline': [],
                'serialize_data': False,
            }
        )


def kept(dataset: Any) -> dict[int, int]:
    """Return the images of a data set and how many objects each has, crowds included."""
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    return {info['img_id'] - 1: len(info['instances']) for info in infos}


def by_loop(images: Sequence[Sequence[Mapping[str, Any]]]) -> dict[int, int]:
    """Drop objects of which no polygon has three points, then images with nothing but crowds."""
    found = {}
    for image, objects in enumerate(images):
        left, usable = 0, 0
        for each in objects:
            if each['category_id'] > len(CLASSES):
                continue
            segmentation = each.get('segmentation')
            if isinstance(segmentation, list) and segmentation and isinstance(segmentation[0], list):
                polygons = 0
                for polygon in segmentation:
                    if len(polygon) >= 6 and len(polygon) % 2 == 0:
                        polygons += 1
                if polygons == 0:
                    continue
            left += 1
            if not each['iscrowd']:
                usable += 1
        if usable:
            found[image] = left
    return found


IMAGES = [
    [annotation([GOOD])],
    [annotation([SHORT])],
    [annotation([SHORT]), annotation([GOOD])],
    [annotation([SHORT, GOOD])],
    [annotation([ODD])],
    [annotation([[]])],
    [annotation([])],
    [annotation(None)],
    [annotation(SHORT)],
    [annotation(CROWD, crowd=True)],
    [annotation(CROWD, crowd=True), annotation([SHORT])],
    [annotation(CROWD, crowd=True), annotation([GOOD])],
    [annotation([GOOD], category=3)],
    [annotation([SHORT]), annotation([GOOD], category=3)],
    [],
]


def test_objects_without_a_polygon_of_three_points_are_dropped(tmp_path: Path) -> None:
    """Their image is dropped, too, if nothing but crowds is left of it; a data set of boxes has the same objects."""
    expected = {0: 1, 2: 1, 3: 1, 6: 1, 7: 1, 8: 1, 11: 2}
    assert by_loop(IMAGES) == expected
    assert kept(data_set(tmp_path, IMAGES)) == expected


def test_mmdets_data_set_keeps_them(tmp_path: Path) -> None:
    """This is why the data set exists."""
    stock = kept(data_set(tmp_path, IMAGES, kind='CocoDataset'))
    assert {1: 1, 2: 2, 4: 1, 9: 1, 10: 2}.items() <= stock.items()


segmentations = st.one_of(
    st.none(),
    st.just(CROWD),
    st.lists(st.lists(st.integers(5, 40), max_size=9), max_size=3),
)
objects = st.builds(annotation, segmentations, crowd=st.booleans(), category=st.integers(1, 3))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(objects, max_size=4), min_size=1, max_size=4))
def test_any_annotations_are_kept_as_by_the_loop(
    tmp_path_factory: pytest.TempPathFactory, images: list[list[dict[str, Any]]]
) -> None:
    assert kept(data_set(tmp_path_factory.mktemp('data'), images)) == by_loop(images)


def test_images_without_objects_stay_where_they_are_asked_for(tmp_path: Path) -> None:
    """The panoptic recipe trains on them; the objects are dropped all the same."""
    for filter_empty in (False, None):
        found = kept(data_set(tmp_path, IMAGES, filter_empty=filter_empty))
        assert sorted(found) == list(range(len(IMAGES)))
        assert [found[image] for image in (0, 1, 2, 10)] == [1, 0, 1, 1]


def test_a_test_has_every_image(tmp_path: Path) -> None:
    assert sorted(kept(data_set(tmp_path, IMAGES, test_mode=True))) == list(range(len(IMAGES)))


def test_small_images_are_filtered_as_by_mmdet(tmp_path: Path) -> None:
    dataset = data_set(tmp_path, IMAGES)
    dataset.filter_cfg['min_size'] = 51
    assert dataset.filter_data() == []


def test_what_is_dropped_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that a tool has written with two points for each object would lose all of them."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.WARNING):
            data_set(tmp_path, IMAGES)
            (record,) = caplog.records
            caplog.clear()
            data_set(tmp_path, IMAGES[:1])
            assert not caplog.records
    finally:
        logger.removeHandler(caplog.handler)
    message = record.getMessage()
    assert '6 of 18 objects' in message and 'list.json' in message and 'fewer than three points' in message
