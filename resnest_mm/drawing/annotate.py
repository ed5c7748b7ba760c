"""Drawing an image with its label map, masks, boxes and class names: one way for the report and the data set browser.

supervision draws everything except for what `resnest_mm.drawing.hand_drawn` adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import numpy.typing as npt

from resnest_mm.annotations.annotated_image import AnnotatedImage, ImageObjects, Labels, Pixels
from resnest_mm.drawing.hand_drawn import draw_dashed_box, hatch
from resnest_mm.drawing.palette import ClassStyles, Colour, ink_on
from resnest_mm.drawing.sheet import fit, font_file

if TYPE_CHECKING:
    import supervision as sv
    from PIL.Image import Image

LINE: Final = 3  # pixels
# OpenCV's lines are centred on a pixel and have an odd width, so that a thickness of 2 gives 3 pixels and 4 gives 5.
_BOX_THICKNESS: Final = 2
_RIM_THICKNESS: Final = 4
MAP_OPACITY: Final = 0.6
"""Weight of a label map's colour in a pixel; the rest is the image."""
MASK_OPACITY: Final = 0.35
IGNORED: Final[Colour] = (120, 120, 120)
"""Colour of an ignored object."""
_OUTLINE: Final = 2
_NAME_SIZE: Final = 12
_NAME_PADDING: Final = 3


def draw_annotated(
    shown: AnnotatedImage,
    panel: tuple[int, int],
    classes: ClassStyles,
    *,
    names: bool = True,
    map_opacity: float = MAP_OPACITY,
) -> Image:
    """Return an image with its label map and objects, scaled to fit into a panel.

    Ignored pixels are hatched. An ignored object is grey and dashed, an object without area dashed.

    Args:
        shown: The image.
        panel: Width and height of the panel in pixels.
        classes: Names and colours of the classes.
        names: Whether to write the names of the classes, with the scores where there are some.
        map_opacity: Weight of a label map's colour in 0..1; 1 hides the image.
    """
    from PIL import Image as pillow

    fitted = fit(shown.image, panel)
    width, height = fitted.size
    # supervision draws on arrays in OpenCV's channel order, blue first.
    scene = np.array(np.asarray(fitted)[..., ::-1])
    if shown.label_map is not None:
        labels = resize_labels(shown.label_map, height, width)
        _draw_label_map(scene, labels, classes, ignore_index=shown.ignore_index, opacity=map_opacity)
    if shown.objects is not None and len(shown.objects.labels):
        scale = np.array([width / shown.image.shape[1], height / shown.image.shape[0]] * 2)
        # A label map has filled the objects already, and two fills would give colours that no legend has.
        _draw_objects(scene, shown.objects, classes, scale=scale, fill=shown.label_map is None, names=names)
    return pillow.fromarray(scene[..., ::-1].copy())


def resize_labels(labels: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
    """Return labels or masks at another size; each pixel keeps one of the old labels.

    Args:
        labels: Any kind of values.
        height: Rows wanted.
        width: Columns wanted.

    Shape:
        - labels: [..., h, w]
        - output: [..., height, width]
    """
    rows = ((np.arange(height) + 0.5) * labels.shape[-2] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * labels.shape[-1] / width).astype(np.int64)
    return np.asarray(labels[..., rows[:, None], columns])


def _draw_label_map(scene: Pixels, labels: Labels, classes: ClassStyles, *, ignore_index: int, opacity: float) -> None:
    import supervision as sv

    ignored = labels == ignore_index
    stripes = hatch(*labels.shape)[ignored]
    scene[ignored] = np.rint(opacity * stripes + (1 - opacity) * scene[ignored]).astype(np.uint8)
    found = [int(label) for label in np.unique(labels) if label != ignore_index]
    if found:
        masks = np.stack([labels == label for label in found])
        regions = _detections(sv.mask_to_xyxy(masks), masks)
        palette = _palette([classes.colour(label) for label in found])
        sv.MaskAnnotator(palette, opacity=opacity).annotate(scene, regions)


def _draw_objects(
    scene: Pixels,
    objects: ImageObjects,
    classes: ClassStyles,
    *,
    scale: npt.NDArray[np.float64],
    fill: bool,
    names: bool,
) -> None:
    import supervision as sv

    height, width = scene.shape[:2]
    # The last pixel, so that a box which ends with the image shows all its edges.
    corners = sv.clip_boxes(np.rint(objects.corners * scale), (width - 1, height - 1))
    masks = None if objects.masks is None else resize_labels(objects.masks, height, width)
    areas = np.prod(np.maximum(corners[:, 2:] - corners[:, :2], 0), axis=1)
    # A large object must not hide a small one.
    order = np.argsort(-areas, kind='stable')
    pairs = zip(objects.labels[order], objects.ignored[order], strict=True)
    colours = [IGNORED if ignored else classes.colour(int(label)) for label, ignored in pairs]
    detections = _detections(corners[order], None if masks is None else masks[order])
    palette = _palette(colours)
    if masks is not None:
        if fill:
            sv.MaskAnnotator(palette, opacity=MASK_OPACITY).annotate(scene, detections)
        sv.PolygonAnnotator(palette, thickness=_OUTLINE).annotate(scene, detections)
    # A white rim keeps a box visible on an object of its own colour.
    sv.BoxAnnotator(sv.Color.WHITE, thickness=_RIM_THICKNESS).annotate(scene, detections)
    dashed = (objects.ignored | objects.flat)[order]
    solid = cast('sv.Detections', detections[~dashed])  # an index of another kind returns other types
    sv.BoxAnnotator(palette, thickness=_BOX_THICKNESS).annotate(scene, solid)
    for index in np.flatnonzero(dashed):
        draw_dashed_box(scene, detections.xyxy[index].astype(np.int64), colours[index][::-1], thickness=LINE)
    if names:
        sv.RichLabelAnnotator(
            palette,
            text_color=_palette([ink_on(colour) for colour in colours]),
            font_path=font_file(),
            font_size=_NAME_SIZE,
            text_padding=_NAME_PADDING,
            smart_position=True,
        ).annotate(scene, detections, labels=[_caption(objects, int(index), classes) for index in order])


def _detections(corners: npt.NDArray[Any], masks: npt.NDArray[np.bool_] | None) -> sv.Detections:
    """Return detections whose class id is their own number: each of them has one colour in the palette."""
    import supervision as sv

    return sv.Detections(xyxy=corners.astype(np.float32), mask=masks, class_id=np.arange(len(corners)))


def _caption(objects: ImageObjects, index: int, classes: ClassStyles) -> str:
    """Return the name of an object's class, with what else there is to say about the object."""
    words = ['ignored'] if objects.ignored[index] else []
    words.append(classes.name(int(objects.labels[index])))
    if objects.scores is not None:
        words.append(f'{objects.scores[index]:.2f}')
    return ' '.join(words)


def _palette(colours: Sequence[Colour]) -> sv.ColorPalette:
    import supervision as sv

    return sv.ColorPalette([sv.Color(*colour) for colour in colours])
