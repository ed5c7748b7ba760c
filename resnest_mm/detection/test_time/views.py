"""The geometry of test-time augmentation: boxes and mask maps between an image and its resized, mirrored versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from mmcv.ops import batched_nms
from torch import Tensor

_MIRRORED: Final[Mapping[str, tuple[bool, bool]]] = {
    'horizontal': (True, False),
    'vertical': (False, True),
    'diagonal': (True, True),
}


@dataclass(frozen=True)
class View:
    """A version of an image: all of it, resized, then mirrored.

    Args:
        original: Height and width of the image file, pixels.
        shape: Height and width of the version, pixels.
        mirrored: Whether left and right are swapped, and whether top and bottom are.
    """

    original: tuple[int, int]
    shape: tuple[int, int]
    mirrored: tuple[bool, bool] = (False, False)

    @classmethod
    def from_metainfo(cls, metainfo: Mapping[str, Any]) -> View:
        """Read a view off what mmdet's transforms recorded.

        The scale is that of the shapes: behind two resizes `scale_factor` tells of the second only.

        Args:
            metainfo: `ori_shape`, `img_shape`, where the version was resized `scale_factor`, and where it is mirrored
                `flip` and `flip_direction`.

        Raises:
            ValueError: One of the shapes is missing, or the version is no resized image: it was padded or cropped.
        """
        missing = [key for key in ('ori_shape', 'img_shape') if metainfo.get(key) is None]
        if missing:
            raise ValueError(f'a view has no {missing[0]}; name it in the meta_keys of PackDetInputs in tta_pipeline')
        original, shape = tuple(metainfo['ori_shape'][:2]), tuple(metainfo['img_shape'][:2])
        across, down = metainfo.get('scale_factor') or (1.0, 1.0)
        if not _is_whole(original, shape, (down, across)):
            raise ValueError(
                f'a view of {shape[0]}x{shape[1]} pixels does not have the shape of its {original[0]}x{original[1]} '
                'image; tta_pipeline may only resize (keep_ratio=True) and flip, the data preprocessor pads'
            )
        flipped = bool(metainfo.get('flip'))
        return cls(original, shape, _MIRRORED[metainfo['flip_direction']] if flipped else (False, False))

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the version for one of the image, across and down."""
        return self.shape[1] / self.original[1], self.shape[0] / self.original[0]

    def from_original(self, boxes: Tensor) -> Tensor:
        """Return where boxes of the image are in the version; (x1, y1, x2, y2), pixels. Shape: [N, 4] both."""
        return self._mirror(boxes * boxes.new_tensor(self.scale).repeat(2))

    def to_original(self, boxes: Tensor) -> Tensor:
        """Return where boxes of the version are in the image; (x1, y1, x2, y2), pixels. Shape: [N, 4] both."""
        return self._mirror(boxes) / boxes.new_tensor(self.scale).repeat(2)

    def upright(self, maps: Tensor) -> Tensor:
        """Return maps of objects in the version as they are in the image. Shape: [..., H, W] both."""
        return maps.flip([axis for axis, mirrored in zip((-1, -2), self.mirrored, strict=True) if mirrored])

    def _mirror(self, boxes: Tensor) -> Tensor:
        mirrored = boxes.clone()
        for axis, size in ((0, self.shape[1]), (1, self.shape[0])):
            if self.mirrored[axis]:
                mirrored[:, axis], mirrored[:, axis + 2] = size - boxes[:, axis + 2], size - boxes[:, axis]
        return mirrored


def _is_whole(original: Sequence[int], shape: Sequence[int], last_factors: Sequence[float]) -> bool:
    """Return whether a shape is an image's, but for the rounding of two resizes or the exact factors of one."""
    ranges = []
    for old, new, factor in zip(original, shape, last_factors, strict=True):
        # The size before the last resize was rounded to a pixel, and that pixel was resized.
        slack = 1 + factor
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
    """Return the boxes, scores and labels that a class-wise NMS leaves of all views' boxes, best first.

    Args:
        boxes: (x1, y1, x2, y2) in the image's pixels; cut at its border. Shape: [N, 4].
        scores: Shape: [N].
        labels: Class indices. Shape: [N].
        image_size: Height and width of the image, pixels.
        score_thr: A box needs a higher score.
        nms: Type and arguments of the NMS, as mmcv's `batched_nms` takes them.
        max_per_img: Boxes to keep at most.
    """
    height, width = image_size
    boxes = boxes.clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))
    found = scores > score_thr
    boxes, scores, labels = boxes[found], scores[found], labels[found]
    if not len(boxes):
        return boxes, scores, labels
    merged, kept = batched_nms(boxes, scores, labels, dict(nms))
    return merged[:max_per_img, :4], merged[:max_per_img, 4], labels[kept[:max_per_img]]


def mean_of(maps: Iterable[Tensor]) -> Tensor:
    """Return the mean of tensors of one shape, without holding them all.

    Raises:
        ValueError: There is none.
    """
    total, count = torch.zeros(()), 0
    for each in maps:
        total, count = (each.float() if count == 0 else total + each.float()), count + 1
    if count == 0:
        raise ValueError('there is nothing to average')
    return total / count
