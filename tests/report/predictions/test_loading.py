"""Images are loaded in order and in batches, and one that cannot be loaded is an error with its path."""

from __future__ import annotations

from typing import Any

import pytest

from resnest_mm.errors import UserError
from resnest_mm.report.predictions.loading import load_batches


class Numbers:
    """Ten images, of which number 7 is damaged."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> dict[str, int]:
        if index == 7:
            raise OSError('image file is\ntruncated')
        return {'inputs': index}

    def get_data_info(self, index: int) -> dict[str, Any]:
        return {'img_path': f'images/{index}.png'}


@pytest.mark.parametrize('workers', [0, 2])
def test_batches_hold_the_chosen_images_in_order(workers: int) -> None:
    """A report shows the images that it names."""
    batches = load_batches(Numbers(), [0, 3, 6, 9, 1], split='val', size=2, workers=workers)
    assert list(batches) == [{'inputs': [0, 3]}, {'inputs': [6, 9]}, {'inputs': [1]}]


@pytest.mark.parametrize('workers', [0, 2])
def test_a_damaged_image_is_one_line_with_its_path(workers: int) -> None:
    """Also from a worker process, whose exceptions hold a page of traceback."""
    batches = load_batches(Numbers(), range(10), split='val', size=4, workers=workers)
    assert next(batches) == {'inputs': [0, 1, 2, 3]}
    message = (
        r'^the val data cannot be loaded: image 7 \(images/7\.png\): OSError: image file is truncated; tools/check'
    )
    with pytest.raises(UserError, match=message) as caught:
        next(batches)
    assert '\n' not in str(caught.value)
