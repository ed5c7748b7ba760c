"""Sizes and windows of the multi-scale sliding evaluation, against the source's arithmetic and by hand."""

from __future__ import annotations

import math

import pytest

pytest.importorskip('mmseg', reason='importing resnest_mm.segmentation is for mmseg')

from resnest_mm.segmentation.multi_scale.windows import long_side, padding, scaled_size, window_starts, window_stride


def test_the_long_sides_of_the_six_scales() -> None:
    assert [long_side(520, scale) for scale in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)] == [260, 390, 520, 650, 780, 910]


def test_a_long_side_that_is_no_whole_number_is_rounded_up() -> None:
    assert [long_side(13, scale) for scale in (0.5, 0.75, 1.25)] == [7, 10, 17]


@pytest.mark.parametrize(
    ('height', 'width', 'expected'),
    [
        pytest.param(480, 640, (390, 520), id='landscape'),
        pytest.param(640, 480, (520, 390), id='portrait'),
        pytest.param(333, 333, (520, 520), id='square'),
        pytest.param(520, 520, (520, 520), id='as it is'),
        pytest.param(683, 2100, (169, 520), id='169.12 is rounded down'),
        pytest.param(512, 683, (390, 520), id='389.8 is rounded up'),
        pytest.param(3, 208, (8, 520), id='7.5 is rounded up'),
        pytest.param(208, 5, (520, 13), id='12.5 is rounded up'),
        pytest.param(1, 2000, (1, 520), id='0.26 is rounded up to a pixel'),
    ],
)
def test_the_long_side_is_set_and_the_short_one_follows(height: int, width: int, expected: tuple[int, int]) -> None:
    assert scaled_size(height, width, long=520) == expected


def test_the_stride_is_the_source_s_two_thirds() -> None:
    assert window_stride(480) == 320
    assert [window_stride(crop) for crop in range(2, 2000)] == [int(crop * (2.0 / 3.0)) for crop in range(2, 2000)]


@pytest.mark.parametrize(
    ('size', 'expected'),
    [
        pytest.param(1, (0,), id='one pixel'),
        pytest.param(479, (0,), id='smaller than a window'),
        pytest.param(480, (0,), id='a window'),
        pytest.param(481, (0, 320), id='a pixel more'),
        pytest.param(520, (0, 320), id='520'),
        pytest.param(800, (0, 320), id='two windows exactly'),
        pytest.param(801, (0, 320, 640), id='a pixel more than two'),
        pytest.param(910, (0, 320, 640), id='910'),
    ],
)
def test_windows_start_at_multiples_of_the_stride(size: int, expected: tuple[int, ...]) -> None:
    assert window_starts(size, crop_size=480) == expected


@pytest.mark.parametrize('crop', [2, 3, 7, 12, 480])
def test_there_are_as_many_windows_as_in_the_source_and_they_see_every_pixel(crop: int) -> None:
    for size in range(1, 4 * crop):
        starts = window_starts(size, crop_size=crop)
        stride = int(crop * (2.0 / 3.0))
        assert len(starts) == math.ceil((max(size, crop) - crop) / stride) + 1
        assert all(start < size for start in starts)
        if crop < 20:
            seen = {pixel for start in starts for pixel in range(start, start + crop)}
            assert set(range(size)) <= seen


@pytest.mark.parametrize(('size', 'expected'), [(260, 220), (480, 0), (481, 319), (520, 280), (800, 0), (910, 210)])
def test_padding_makes_the_last_window_whole(size: int, expected: int) -> None:
    assert padding(size, crop_size=480) == expected
