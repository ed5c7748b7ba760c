"""Boxes, dashes, masks, label maps and names are drawn at the right place and in the right colour."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from resnest_mm.annotations.annotated_image import AnnotatedImage, ImageObjects
from resnest_mm.browse.sheets import describe, remarks
from resnest_mm.drawing.annotate import IGNORED, MAP_OPACITY, MASK_OPACITY, draw_annotated
from resnest_mm.drawing.hand_drawn import HATCH
from resnest_mm.drawing.palette import ClassStyles, class_colour

HEIGHT, WIDTH, SCALE = 24, 32, 10
GREY = 200
NAMES = ('disc', 'bar', 'ring')
PALETTE = ((10, 20, 30), (250, 200, 60), (70, 160, 240))
PANEL = (WIDTH * SCALE, HEIGHT * SCALE)


def objects(*rows: tuple[float, float, float, float, int], ignored: tuple[int, ...] = ()) -> ImageObjects:
    table = np.array(rows, dtype=np.float32).reshape(-1, 5)
    flags = np.zeros(len(table), dtype=np.bool_)
    flags[list(ignored)] = True
    return ImageObjects(table[:, :4], table[:, 4].astype(np.int64), flags)


def shown_with(found: ImageObjects | None = None, label_map: npt.NDArray[np.int64] | None = None) -> AnnotatedImage:
    return AnnotatedImage(np.full((HEIGHT, WIDTH, 3), GREY, np.uint8), 'image.jpg', found, label_map)


def pixels(shown: AnnotatedImage, *, names: bool = False, classes: ClassStyles | None = None) -> npt.NDArray[np.uint8]:
    default = ClassStyles(NAMES, () if shown.label_map is None else PALETTE)
    return np.asarray(draw_annotated(shown, PANEL, classes or default, names=names))


def mixed(colour: tuple[int, ...], share: float) -> tuple[int, ...]:
    return tuple(round(GREY + share * (part - GREY)) for part in colour)


def test_a_box_is_its_class_colour_at_its_edges() -> None:
    """The picture is ten times as large, and so are the corners."""
    shown = pixels(shown_with(objects((4, 6, 20, 18, 1))))
    middle_x, middle_y = 120, 120
    for y, x in ((middle_y, 40), (middle_y, 200), (60, middle_x), (180, middle_x)):
        assert tuple(shown[y, x]) == class_colour(1)
    for y, x in ((middle_y, 45), (middle_y, 195), (middle_y, 35), (65, middle_x), (185, middle_x)):
        assert tuple(shown[y, x]) == (GREY, GREY, GREY)


def test_a_box_has_a_white_rim() -> None:
    """The rim keeps it visible on an object of its own colour."""
    shown = pixels(shown_with(objects((4, 6, 20, 18, 1))))
    for y, x in ((120, 38), (120, 42), (120, 198), (120, 202), (58, 120), (182, 120)):
        assert tuple(shown[y, x]) == (255, 255, 255)


@pytest.mark.parametrize('first', [0, 1])
def test_a_small_box_is_drawn_over_a_large_one(first: int) -> None:
    """The left edges of both are at the same place; the order of the annotations does not matter."""
    rows = ((4, 6, 30, 22, 0), (4, 9, 12, 15, 2))
    shown = pixels(shown_with(objects(rows[first], rows[1 - first])))
    assert tuple(shown[120, 40]) == class_colour(2)
    assert tuple(shown[200, 40]) == class_colour(0)


def test_names_do_not_cover_each_other() -> None:
    """Two objects at the same place have two readable names, the score beside the name."""
    found = objects((8, 8, 24, 20, 0), (8, 8, 24, 20, 1))
    scored = ImageObjects(found.corners, found.labels, found.ignored, None, np.array([0.5, 0.25], np.float32))
    shown, plain = (pixels(shown_with(each), names=True) for each in (scored, found))
    for label in (0, 1):
        areas = [int((each[:70] == class_colour(label)).all(-1).sum()) for each in (shown, plain)]
        assert areas[0] > areas[1] > 100


def test_an_ignored_object_is_grey_and_dashed() -> None:
    """Crowds look unlike the other objects, whose lines have no gaps."""
    shown = pixels(shown_with(objects((4, 6, 20, 18, 1), (22, 6, 30, 18, 0), ignored=(0,))))
    top = shown[61, 40:201]
    grey = (top == IGNORED).all(-1)
    assert 0.4 < grey.mean() < 0.65
    assert (shown[61, 220:301] == class_colour(0)).all()
    assert not (shown == class_colour(1)).all(-1).any()


def test_a_box_without_area_still_shows() -> None:
    """An annotation fault must be visible: the colour of the class is in the picture, and the remarks count the box."""
    flat = objects((16, 4, 16, 20, 2), (30, 1, 5, 9, 0))
    shown = pixels(shown_with(flat))
    assert (shown[40:200, 160] == class_colour(2)).all(-1).any()
    assert remarks(shown_with(flat)) == '2 without area'


def test_a_name_stays_on_the_image() -> None:
    """A long name at the right border, and one on top of the image, move inside."""
    classes = ClassStyles(('a very long name indeed', 'bar', 'ring'))
    right, top = (
        pixels(shown_with(objects(row)), names=True, classes=classes)
        for row in ((28, 12, 32, 23, 0), (2, 0, 30, 22, 1))
    )
    tag = (right[106:118] == class_colour(0)).all(-1)
    assert tag.any(0)[:-1].sum() > 100
    assert tag[:, -1].all()
    assert (top[:16, 20:30] == class_colour(1)).all(-1).sum() > 50


def test_a_mask_fills_what_it_covers_and_has_an_outline() -> None:
    mask = np.zeros((1, HEIGHT, WIDTH), dtype=np.bool_)
    mask[0, 8:16, 6:18] = True
    found = objects((2, 2, 30, 22, 0))
    shown = pixels(shown_with(ImageObjects(found.corners, found.labels, found.ignored, mask)))
    assert tuple(shown[120, 120]) == mixed(class_colour(0), MASK_OPACITY)
    assert tuple(shown[80, 120]) == tuple(shown[81, 120]) == tuple(shown[120, 179]) == class_colour(0)
    assert tuple(shown[78, 120]) == tuple(shown[120, 181]) == (GREY, GREY, GREY)


def test_a_mask_on_a_label_map_is_an_outline() -> None:
    """Two fills would give colours that are not in the legend. A class has one colour everywhere."""
    mask = np.zeros((1, HEIGHT, WIDTH), dtype=np.bool_)
    mask[0, 8:16, 6:18] = True
    found = objects((2, 2, 30, 22, 0))
    labels = np.full((HEIGHT, WIDTH), 1, dtype=np.int64)
    shown = pixels(shown_with(ImageObjects(found.corners, found.labels, found.ignored, mask), labels))
    assert tuple(shown[120, 120]) == mixed(PALETTE[1], MAP_OPACITY)
    assert tuple(shown[80, 120]) == PALETTE[0]


@pytest.mark.parametrize('factor', [1, 2])
def test_a_label_map_is_blended_and_hatched_where_ignored(factor: int) -> None:
    """Also a label map that was loaded after the resize of a test pipeline, so that it keeps its own size."""
    labels = np.full((HEIGHT * factor, WIDTH * factor), 1, dtype=np.int64)
    labels[:, : 8 * factor] = 255
    labels[12 * factor :, 16 * factor :] = 2
    shown = pixels(shown_with(label_map=labels))
    assert tuple(shown[50, 300]) == mixed(PALETTE[1], MAP_OPACITY)
    assert tuple(shown[119, 160]) == mixed(PALETTE[1], MAP_OPACITY)
    assert tuple(shown[120, 160]) == mixed(PALETTE[2], MAP_OPACITY)
    ignored = {tuple(int(part) for part in colour) for colour in shown[:, :80].reshape(-1, 3)}
    assert ignored == {mixed(colour, MAP_OPACITY) for colour in HATCH}
    words = '25.0% of the pixels ignored' + (', labels of 64 x 48' if factor == 2 else '')
    assert (describe(shown_with(label_map=labels)), remarks(shown_with(label_map=labels))) == (
        '32 x 24, 2 classes',
        words,
    )


def test_boxes_stand_on_the_label_map() -> None:
    """Panoptic data has both; the labels of the map have no names where the labels of the boxes differ."""
    labels = np.full((HEIGHT, WIDTH), 7, dtype=np.int64)
    classes = ClassStyles(NAMES, maps_share_names=False)
    shown = pixels(shown_with(objects((4, 6, 20, 18, 1)), labels), classes=classes)
    assert tuple(shown[120, 40]) == class_colour(1)
    assert tuple(shown[120, 120]) == mixed(class_colour(7), MAP_OPACITY)
    assert (classes.map_name(7), ClassStyles(NAMES).map_name(7)) == ('label 7', '7, no such class')
    assert describe(shown_with(objects((4, 6, 20, 18, 1)), labels), long=True) == '32 x 24 pixels, 1 object'


def test_ignored_objects_do_not_count() -> None:
    found = objects((4, 6, 20, 18, 1), (4, 6, 20, 18, 0), ignored=(1,))
    assert (describe(shown_with(found)), remarks(shown_with(found))) == ('32 x 24, 1 object', '1 ignored')
