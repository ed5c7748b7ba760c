"""What is painted onto an image: boxes, dashes, masks and label maps in the right place and colour."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from resnest_mm.browse.canvas import IGNORED, MAP_SHARE, MASK_SHARE, ClassBook, paint
from resnest_mm.browse.samples import Fed, Objects
from resnest_mm.browse.sheets import describe, remarks
from resnest_mm.drawing.palette import class_colour
from resnest_mm.report.segmentation import HATCH

HEIGHT, WIDTH, SCALE = 24, 32, 10
GREY = 200
NAMES = ('disc', 'bar', 'ring')
PALETTE = ((10, 20, 30), (250, 200, 60), (70, 160, 240))
PANEL = (WIDTH * SCALE, HEIGHT * SCALE)


def objects(*rows: tuple[float, float, float, float, int], ignored: tuple[int, ...] = ()) -> Objects:
    table = np.array(rows, dtype=np.float32).reshape(-1, 5)
    flags = np.zeros(len(table), dtype=np.bool_)
    flags[list(ignored)] = True
    return Objects(table[:, :4], table[:, 4].astype(np.int64), flags)


def fed(found: Objects | None = None, label_map: npt.NDArray[np.int64] | None = None) -> Fed:
    return Fed(np.full((HEIGHT, WIDTH, 3), GREY, np.uint8), 'image.jpg', found, label_map)


def pixels(shown: Fed, *, tags: bool = False, book: ClassBook | None = None) -> npt.NDArray[np.uint8]:
    default = ClassBook(NAMES, () if shown.label_map is None else PALETTE)
    return np.asarray(paint(shown, PANEL, book or default, tags=tags))


def mixed(colour: tuple[int, ...], share: float) -> tuple[int, ...]:
    return tuple(round(GREY + share * (part - GREY)) for part in colour)


def test_a_box_is_its_class_colour_at_its_edges() -> None:
    """The picture is ten times as large, and so are the corners."""
    shown = pixels(fed(objects((4, 6, 20, 18, 1))))
    middle_x, middle_y = 120, 120
    for y, x in ((middle_y, 40), (middle_y, 200), (60, middle_x), (180, middle_x)):
        assert tuple(shown[y, x]) == class_colour(1)
    for y, x in ((middle_y, 45), (middle_y, 195), (middle_y, 35), (65, middle_x), (185, middle_x)):
        assert tuple(shown[y, x]) == (GREY, GREY, GREY)


def test_an_ignored_object_is_grey_and_dashed() -> None:
    """Crowds look unlike the objects that count, whose line has no gaps."""
    shown = pixels(fed(objects((4, 6, 20, 18, 1), (22, 6, 30, 18, 0), ignored=(0,))))
    top = shown[61, 40:201]
    grey = (top == IGNORED).all(-1)
    assert 0.4 < grey.mean() < 0.65
    assert (shown[61, 220:301] == class_colour(0)).all()
    assert not (shown == class_colour(1)).all(-1).any()


def test_a_box_without_area_still_shows() -> None:
    """It is what a user looks for; its class's colour is on the picture, and the remarks count it."""
    flat = objects((16, 4, 16, 20, 2), (30, 1, 5, 9, 0))
    shown = pixels(fed(flat))
    assert (shown[40:200, 160] == class_colour(2)).all(-1).any()
    assert remarks(fed(flat)) == '2 without area'


def test_a_name_stays_on_the_image() -> None:
    """A long name at the right border, and one on top of the image, move inside."""
    book = ClassBook(('a very long name indeed', 'bar', 'ring'))
    right, top = (pixels(fed(objects(row)), tags=True, book=book) for row in ((28, 12, 32, 23, 0), (2, 0, 30, 22, 1)))
    tag = (right[106:118] == class_colour(0)).all(-1)
    assert tag.any(0)[:-1].sum() > 100
    assert tag[:, -1].all()
    assert (top[:16, 20:30] == class_colour(1)).all(-1).sum() > 50


def test_a_mask_fills_what_it_covers_and_has_an_outline() -> None:
    mask = np.zeros((1, HEIGHT, WIDTH), dtype=np.bool_)
    mask[0, 8:16, 6:18] = True
    found = objects((2, 2, 30, 22, 0))
    shown = pixels(fed(Objects(found.corners, found.labels, found.ignored, mask)))
    assert tuple(shown[120, 120]) == mixed(class_colour(0), MASK_SHARE)
    assert tuple(shown[80, 120]) == tuple(shown[81, 120]) == tuple(shown[120, 179]) == class_colour(0)
    assert tuple(shown[79, 120]) == tuple(shown[120, 180]) == (GREY, GREY, GREY)


def test_a_mask_on_a_label_map_is_an_outline() -> None:
    """Two fills would give colours that no legend has. A class has one colour everywhere."""
    mask = np.zeros((1, HEIGHT, WIDTH), dtype=np.bool_)
    mask[0, 8:16, 6:18] = True
    found = objects((2, 2, 30, 22, 0))
    labels = np.full((HEIGHT, WIDTH), 1, dtype=np.int64)
    shown = pixels(fed(Objects(found.corners, found.labels, found.ignored, mask), labels))
    assert tuple(shown[120, 120]) == mixed(PALETTE[1], MAP_SHARE)
    assert tuple(shown[80, 120]) == PALETTE[0]


@pytest.mark.parametrize('factor', [1, 2])
def test_a_label_map_is_blended_and_hatched_where_ignored(factor: int) -> None:
    """Also a map that was not resized with its image, as behind the resize of a test pipeline."""
    labels = np.full((HEIGHT * factor, WIDTH * factor), 1, dtype=np.int64)
    labels[:, : 8 * factor] = 255
    labels[12 * factor :, 16 * factor :] = 2
    shown = pixels(fed(label_map=labels))
    assert tuple(shown[50, 300]) == mixed(PALETTE[1], MAP_SHARE)
    assert tuple(shown[119, 160]) == mixed(PALETTE[1], MAP_SHARE)
    assert tuple(shown[120, 160]) == mixed(PALETTE[2], MAP_SHARE)
    ignored = {tuple(int(part) for part in colour) for colour in shown[:, :80].reshape(-1, 3)}
    assert ignored == {mixed(colour, MAP_SHARE) for colour in HATCH}
    words = '25.0% of the pixels ignored' + (', labels of 64 x 48' if factor == 2 else '')
    assert (describe(fed(label_map=labels)), remarks(fed(label_map=labels))) == ('32 x 24, 2 classes', words)


def test_boxes_stand_on_the_label_map() -> None:
    """Panoptic data has both; the map's labels have no names where the boxes are counted differently."""
    labels = np.full((HEIGHT, WIDTH), 7, dtype=np.int64)
    book = ClassBook(NAMES, maps_share_names=False)
    shown = pixels(fed(objects((4, 6, 20, 18, 1)), labels), book=book)
    assert tuple(shown[120, 40]) == class_colour(1)
    assert tuple(shown[120, 120]) == mixed(class_colour(7), MAP_SHARE)
    assert (book.map_name(7), ClassBook(NAMES).map_name(7)) == ('label 7', '7, no such class')
    assert describe(fed(objects((4, 6, 20, 18, 1)), labels), long=True) == '32 x 24 pixels, 1 object'


def test_ignored_objects_do_not_count() -> None:
    found = objects((4, 6, 20, 18, 1), (4, 6, 20, 18, 0), ignored=(1,))
    assert (describe(fed(found)), remarks(fed(found))) == ('32 x 24, 1 object', '1 ignored')
