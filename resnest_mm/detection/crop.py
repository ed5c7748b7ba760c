"""A random crop around one object of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.structures.bbox import autocast_box_type
from numpy.typing import NDArray

from resnest_mm.registry import TRANSFORMS

_PER_INSTANCE: Final = ('gt_bboxes_labels', 'gt_ignore_flags', 'gt_instances_ids')
_UNCROPPED: Final = ('gt_keypoints', 'proposals')


@dataclass(frozen=True)
class Window:
    """A crop: the pixel of its upper left corner, and its size in pixels."""

    top: int
    left: int
    height: int
    width: int


def offset_bounds(centre: float, crop: int, size: int) -> tuple[int, int]:
    """Return the smallest and the largest allowed offset of a crop along one axis.

    With any offset in this range, the crop contains the pixel before or after the centre. A centre outside the image is
    moved to its border.

    Args:
        centre: Centre of the object's box in pixels.
        crop: Side of the crop in pixels, from 1 to `size`.
        size: Side of the image in pixels.
    """
    centre = min(max(centre, 0), size)
    return max(math.floor(centre) - crop, 0), min(size - crop, math.ceil(centre))


@TRANSFORMS.register_module()
class CropAroundInstance(BaseTransform):
    """Crop an image randomly around one object, chosen among all annotations including crowds.

    In a training pipeline it comes after `LoadAnnotations` and before the resize. An image without annotations is
    cropped anywhere. There are three differences to mmdet's `RandomCrop`: the crop is around an object, an object
    outside the crop is dropped, and an image without remaining objects is kept.

    If there are masks, the new boxes are those around the cropped masks, not the cropped boxes. They can be computed
    here already, because later resizes and flips change a polygon and its box in the same way. The box of an ignored
    instance is cropped instead, because its mask may be a placeholder. A polygon with a hole loses the hole, as in
    detectron2; COCO has no such polygons.

    Random numbers come from numpy's global generator in this order: two for the size, one for the object, one for the
    top, one for the left.

    Args:
        crop_range: Smallest and largest size of the crop as a fraction of the image, in (0, 1]. Height and width are
            drawn independently.

    Raises:
        TypeError: `crop_range` is not a pair of numbers.
        ValueError: `crop_range` is outside (0, 1] or falling.

    Source: the input of `mask_cascade_rcnn_ResNeSt_200_FPN_syncBN_all_tricks_3x`, detectron2-ResNeSt@54ec876.

    Example:
        train_pipeline = [
            dict(type='LoadImageFromFile', imdecode_backend='pillow'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=False),
            dict(type='resnest_mm.CropAroundInstance', crop_range=(0.9, 1.0)),
            dict(type='RandomResize', scale=[(1440, 640), (1440, 864)], keep_ratio=True, backend='pillow'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ]
    """

    def __init__(self, *, crop_range: Sequence[float] = (0.9, 1.0)) -> None:
        self.crop_range = _range('crop_range', crop_range)

    @autocast_box_type()
    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crop the image and its annotations, and return the results.

        Args:
            results: The results of the transforms before.

        Raises:
            ValueError: There are masks without boxes, or annotations that cannot be cropped.
        """
        boxes = results.get('gt_bboxes')
        for key in _UNCROPPED:
            if results.get(key) is not None:
                raise ValueError(f'CropAroundInstance cannot crop {key}; remove one of the two from the pipeline')
        if boxes is None and results.get('gt_masks') is not None:
            raise ValueError('CropAroundInstance needs boxes for the masks; set with_bbox=True in LoadAnnotations')
        centres = np.empty((0, 2)) if boxes is None else boxes.centers.double().numpy()
        window = self._draw(results['img'].shape[:2], centres)
        _crop_pixels(results, window)
        if boxes is not None:
            _crop_instances(results, window)
        return results

    @cache_randomness
    def _draw(self, image_size: tuple[int, int], centres: NDArray[np.float64]) -> Window:
        """Draw a crop of an image (height, width) around one of the centres (x, y)."""
        low, high = self.crop_range
        shares = low + np.random.rand(2) * (high - low)
        height, width = (max(int(size * share + 0.5), 1) for size, share in zip(image_size, shares, strict=True))
        if len(centres):
            x, y = centres[np.random.choice(len(centres))]
            vertical, horizontal = offset_bounds(y, height, image_size[0]), offset_bounds(x, width, image_size[1])
        else:
            vertical, horizontal = (0, image_size[0] - height), (0, image_size[1] - width)
        top, left = (int(np.random.randint(first, last + 1)) for first, last in (vertical, horizontal))
        return Window(top, left, height, width)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(crop_range={self.crop_range})'


def _range(name: str, value: Any) -> tuple[float, float]:
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        raise TypeError(f'{name}={value!r} must be a pair (least, largest) of numbers in (0, 1]')
    if any(isinstance(entry, bool) or not isinstance(entry, int | float) for entry in value):
        raise TypeError(f'{name}={value!r} must be a pair of numbers in (0, 1]')
    low, high = float(value[0]), float(value[1])
    if not 0 < low <= high <= 1:
        raise ValueError(f'{name}={value!r} must rise within (0, 1]: fractions of the height and width, not pixels')
    return low, high


def _crop_pixels(results: dict[str, Any], window: Window) -> None:
    rows, columns = slice(window.top, window.top + window.height), slice(window.left, window.left + window.width)
    for key in ('img', 'gt_seg_map'):
        if results.get(key) is not None:
            results[key] = results[key][rows, columns]
    results['img_shape'] = results['img'].shape[:2]
    shift = np.array([[1, 0, -window.left], [0, 1, -window.top], [0, 0, 1]], dtype=np.float32)
    before = results.get('homography_matrix')
    results['homography_matrix'] = shift if before is None else shift @ before


def _crop_instances(results: dict[str, Any], window: Window) -> None:
    boxes, masks = results['gt_bboxes'].clone(), results.get('gt_masks')
    boxes.translate_((-window.left, -window.top))
    boxes.clip_((window.height, window.width))
    if masks is not None:
        corners = (window.left, window.top, window.left + window.width, window.top + window.height)
        masks = masks.crop(np.array(corners))
        regular = np.ones(len(boxes), dtype=bool)
        if results.get('gt_ignore_flags') is not None:
            regular = ~np.asarray(results['gt_ignore_flags'], dtype=bool)
        boxes.tensor[regular] = masks.get_bboxes(type(boxes)).tensor[regular]
    # The mask of an object outside the crop is empty or a single point, so its box has no area.
    kept = ((boxes.widths > 0) & (boxes.heights > 0)).numpy()
    results['gt_bboxes'] = boxes[kept]
    if masks is not None:
        results['gt_masks'] = masks[kept.nonzero()[0]]
    for key in _PER_INSTANCE:
        if results.get(key) is not None:
            results[key] = results[key][kept]
