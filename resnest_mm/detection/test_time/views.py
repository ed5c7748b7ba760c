"""The geometry of test-time augmentation: boxes and masks in an image and in its resized and flipped views."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from mmcv.ops import batched_nms
from torch import Tensor

_FLIPS: Final[Mapping[str, tuple[bool, bool]]] = {
    'horizontal': (True, False),
    'vertical': (False, True),
    'diagonal': (True, True),
}


@dataclass(frozen=True)
class View:
    """A view of an image: the whole image, resized and then flipped.

    Args:
        original: Height and width of the image in pixels.
        shape: Height and width of the view in pixels.
        flipped: Whether the view is flipped horizontally, and whether vertically.
    """

    original: tuple[int, int]
    shape: tuple[int, int]
    flipped: tuple[bool, bool] = (False, False)

    @classmethod
    def from_metainfo(cls, metainfo: Mapping[str, Any]) -> View:
        """Return the view that the metainfo of mmdet's transforms describes.

        The scale is computed from the shapes, because `scale_factor` is only that of the last resize.

        Args:
            metainfo: `ori_shape`, `img_shape`, `scale_factor` if the view is resized, and `flip` and `flip_direction`
                if it is flipped.

        Raises:
            ValueError: One of the shapes is missing, or the view is not the whole image but padded or cropped.
        """
        missing = [key for key in ('ori_shape', 'img_shape') if metainfo.get(key) is None]
        if missing:
            raise ValueError(f'a view has no {missing[0]}; add it to meta_keys of PackDetInputs in tta_pipeline')
        original, shape = tuple(metainfo['ori_shape'][:2]), tuple(metainfo['img_shape'][:2])
        across, down = metainfo.get('scale_factor') or (1.0, 1.0)
        if not _is_whole(original, shape, (down, across)):
            raise ValueError(
                f'a view of {shape[0]}x{shape[1]} pixels does not have the shape of its {original[0]}x{original[1]} '
                'image; tta_pipeline may only resize (keep_ratio=True) and flip, the data preprocessor pads'
            )
        is_flipped = bool(metainfo.get('flip'))
        return cls(original, shape, _FLIPS[metainfo['flip_direction']] if is_flipped else (False, False))

    @property
    def scale(self) -> tuple[float, float]:
        """Size of the view divided by the size of the image, horizontally and vertically."""
        return self.shape[1] / self.original[1], self.shape[0] / self.original[0]

    def from_original(self, boxes: Tensor) -> Tensor:
        """Transform boxes (x1, y1, x2, y2) from the image to the view, in pixels. Shape: both [N, 4]."""
        return self._flip(boxes * boxes.new_tensor(self.scale).repeat(2))

    def to_original(self, boxes: Tensor) -> Tensor:
        """Transform boxes (x1, y1, x2, y2) from the view to the image, in pixels. Shape: both [N, 4]."""
        return self._flip(boxes) / boxes.new_tensor(self.scale).repeat(2)

    def upright(self, masks: Tensor) -> Tensor:
        """Undo the flips for masks of boxes in the view. Shape: both [..., H, W]."""
        return masks.flip([axis for axis, is_flipped in zip((-1, -2), self.flipped, strict=True) if is_flipped])

    def _flip(self, boxes: Tensor) -> Tensor:
        flipped = boxes.clone()
        for axis, size in ((0, self.shape[1]), (1, self.shape[0])):
            if self.flipped[axis]:
                flipped[:, axis], flipped[:, axis + 2] = size - boxes[:, axis + 2], size - boxes[:, axis]
        return flipped


def _is_whole(original: Sequence[int], shape: Sequence[int], last_factors: Sequence[float]) -> bool:
    """Return whether a shape is that of the whole image after one or two resizes, up to rounding."""
    ranges = []
    for old, new, factor in zip(original, shape, last_factors, strict=True):
        # Each resize rounds by at most half a pixel, and the last one scales the rounding of the first. Its factor was
        # computed from the rounded side, so it is at most half a pixel per pixel too small.
        slack = 0.5 + 0.5 * (factor + 0.5)
        ranges.append(((new - slack) / old, (new + slack) / old))
    once = all(round(old * factor) == new for old, new, factor in zip(original, shape, last_factors, strict=True))
    return once or max(low for low, _ in ranges) <= min(high for _, high in ranges)


def merge_boxes(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    *,
    image_size: tuple[int, int],
    score_thr: float,
    nms: Mapping[str, Any],
    max_per_img: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Merge the boxes of all views by class-wise NMS, and return boxes, scores and labels, the best first.

    Boxes that have no area in the image are dropped before the NMS, so that they do not take the places of others.

    Args:
        boxes: Boxes (x1, y1, x2, y2) in pixels of the image, where they are clipped. Shape: [N, 4].
        scores: Scores of the boxes. Shape: [N].
        labels: Class indices. Shape: [N].
        image_size: Height and width of the image in pixels.
        score_thr: Boxes with this score or a lower one are dropped.
        nms: Type and arguments of the NMS for mmcv's `batched_nms`.
        max_per_img: Largest number of boxes.
    """
    height, width = image_size
    boxes = boxes.clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))
    found = (scores > score_thr) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    boxes, scores, labels = boxes[found], scores[found], labels[found]
    if not len(boxes):
        return boxes, scores, labels
    merged, kept = batched_nms(boxes, scores, labels, dict(nms))
    return merged[:max_per_img, :4], merged[:max_per_img, 4], labels[kept[:max_per_img]]


def mean_of(tensors: Iterable[Tensor]) -> Tensor:
    """Return the mean of tensors of one shape, without keeping all of them in memory.

    Raises:
        ValueError: There are no tensors.
    """
    total, count = torch.zeros(()), 0
    for each in tensors:
        total, count = (each.float() if count == 0 else total + each.float()), count + 1
    if count == 0:
        raise ValueError('there is nothing to average')
    return total / count
