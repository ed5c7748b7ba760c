"""Values become the labels that mmseg's own loading step makes of them, and files are read as it reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnest_mm.training.data_check.segmentation.labels import LabelRules
from resnest_mm.training.data_check.segmentation.reading import Pair, read_map
from tests.support.label_data import LabelData

VALUES = np.array([*range(256), 256, 257, 300, 511, 40000], np.uint16).reshape(9, 29)


@pytest.mark.parametrize('reduce', [False, True])
@pytest.mark.parametrize('label_map', [None, {0: 2, 1: 255, 2: 0, 3: 1}])
def test_every_value_becomes_the_label_that_mmseg_makes_of_it(
    reduce: bool, label_map: dict[int, int] | None, tmp_path: Path
) -> None:
    """Zero is moved, classes are renamed and 16 bits are cut as in mmseg's LoadAnnotations."""
    from mmseg.datasets.transforms import LoadAnnotations

    Image.fromarray(VALUES).save(tmp_path / 'map.png')
    info: dict[str, Any] = {'reduce_zero_label': reduce, 'label_map': label_map, 'seg_fields': []}
    loaded = LoadAnnotations()({**info, 'seg_map_path': str(tmp_path / 'map.png')})['gt_seg_map']
    rules = LabelRules(classes=3, ignored=frozenset({255}), reduce_zero_label=reduce, label_map=label_map)
    assert [rules.label(value) for value in VALUES.ravel().tolist()] == loaded.ravel().tolist()


@pytest.mark.parametrize(('reduce', 'words'), [(False, '0 to 2, and 255 for'), (True, '1 to 3, and 0 and 255 for')])
def test_allowed_values_are_named_as_they_stand_in_the_file(reduce: bool, words: str) -> None:
    """A user compares the message with the files, not with the labels after the pipeline."""
    rules = LabelRules(classes=3, ignored=frozenset({255}), reduce_zero_label=reduce)
    assert rules.allowed == f'{words} ignored pixels'


@pytest.mark.parametrize('backend', ['pillow', 'cv2'])
@pytest.mark.parametrize('mode', ['L', 'P', 'RGB', '1', 'I;16'])
def test_channels_and_values_are_those_of_the_host(backend: str, mode: str, tmp_path: Path) -> None:
    """Pillow reads a palette as class numbers, OpenCV as colours; a check with the other one would be wrong."""
    import mmcv

    data = LabelData(tmp_path)
    labels = data.labels() % 2 if mode == '1' else data.labels()
    picture = Image.fromarray(labels.astype(np.uint16) if mode == 'I;16' else labels)
    if mode == 'P':
        picture.putpalette([value * 7 % 256 for value in range(768)])
    elif mode in ('RGB', '1'):
        picture = picture.point(lambda value: 255 * value).convert('1') if mode == '1' else picture.convert('RGB')
    picture.save(data.map())
    host = mmcv.imfrombytes(data.map().read_bytes(), flag='unchanged', backend=backend)
    read = read_map(Pair(str(data.image()), str(data.map())), backend=backend)
    assert read.channels == (1 if host.ndim == 2 else host.shape[2])
    if read.channels == 1:
        values, counts = np.unique(host.astype(np.uint16), return_counts=True)
        assert read.counts == dict(zip(values.tolist(), counts.tolist(), strict=True))
        assert read.size == read.image_size == (24, 16)
