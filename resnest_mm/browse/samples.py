"""One image as a pipeline hands it on, with its boxes, masks and label map, packed for the model or not yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from resnest_mm.drawing.panels import Pixels

IGNORE_INDEX: Final = 255
"""Label of a pixel that does not count, where the data does not say: the default of mmseg's losses and metrics."""

Scalar = TypeVar('Scalar', bound=np.generic)

UNSCALED: Final = (1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Objects:
    """The annotated objects of one image.

    Args:
        corners: Left, top, right, bottom in pixels of the image.
        labels: Indices of classes.
        ignored: Which ones the model is told to leave out, such as crowds.
        masks: Which pixels are each object's; None without masks.

    Shape:
        - corners: [N, 4]
        - labels, ignored: [N]
        - masks: [N, h, w], the image's size or, where the annotation was not resized with it, another
    """

    corners: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    ignored: npt.NDArray[np.bool_]
    masks: npt.NDArray[np.bool_] | None = None

    @property
    def flat(self) -> npt.NDArray[np.bool_]:
        """Which boxes have no area; [N]."""
        return np.asarray((self.corners[:, 2:] <= self.corners[:, :2]).any(axis=1))


@dataclass(frozen=True, eq=False)
class Fed:
    """One image with all that comes with it.

    Args:
        image: RGB, 0 to 255.
        name: The file's name; empty where it is unknown.
        objects: None where none were loaded, which is not the same as no objects in the image.
        label_map: Class of every pixel; None where none was loaded.
        ignore_index: Label of the pixels that do not count.

    Shape:
        - image: [H, W, 3]
        - label_map: [h, w], the image's size or, where the annotation was not resized with it, another
    """

    image: Pixels
    name: str
    objects: Objects | None = None
    label_map: npt.NDArray[np.int64] | None = None
    ignore_index: int = IGNORE_INDEX

    def shows_the_same_as(self, other: Fed) -> bool:
        """Return whether a picture of the other would be the same."""
        return all(_equal(one, two) for one, two in zip(self._arrays(), other._arrays(), strict=True))

    def _arrays(self) -> tuple[npt.NDArray[Any] | None, ...]:
        objects = self.objects
        parts = (objects.corners, objects.labels, objects.ignored, objects.masks) if objects else (None,) * 4
        return (self.image, self.label_map, *parts)


def read_fed(data: Any, *, scale: tuple[float, float] = UNSCALED) -> Fed | None:
    """Return a copy of what a step of a pipeline returned, or None where no image is in it.

    Args:
        data: Results of a transform of mmdet, mmseg or mmcv, packed or not. Its image is BGR, as mmcv loads it; values
            outside 0..255 are clipped.
        scale: Horizontal and vertical factor from the boxes to the image.
    """
    if not isinstance(data, Mapping):
        return None
    if 'data_samples' in data:
        return _read_packed(data['data_samples'], data.get('inputs'), scale)
    return _read_results(data, scale)


def _read_results(results: Mapping[str, Any], scale: tuple[float, float]) -> Fed | None:
    image, label_map = results.get('img'), results.get('gt_seg_map')
    if not isinstance(image, np.ndarray):
        return None
    objects = None
    if results.get('gt_bboxes') is not None:
        found = _objects(results['gt_bboxes'], results.get('gt_bboxes_labels'), results.get('gt_masks'), scale)
        flags = results.get('gt_ignore_flags')
        ignored = found.ignored if flags is None else _copy(flags, np.bool_)
        objects = Objects(found.corners, found.labels, ignored, found.masks)
    return Fed(
        _rgb(image),
        Path(results.get('img_path') or '').name,
        objects,
        None if label_map is None else _copy(label_map, np.int64),
        int(results.get('ignore_index', IGNORE_INDEX)),
    )


def _read_packed(sample: Any, inputs: Any, scale: tuple[float, float]) -> Fed | None:
    if getattr(inputs, 'ndim', None) != 3:
        return None
    label_map, ignore_index = None, IGNORE_INDEX
    if 'gt_sem_seg' in sample:
        packed = sample.gt_sem_seg
        # mmdet and mmseg call it differently.
        label_map = _copy(packed.sem_seg if 'sem_seg' in packed else packed.data, np.int64)[0]
        ignore_index = int(packed.get('ignore_index', IGNORE_INDEX))
    return Fed(
        _rgb(inputs.permute(1, 2, 0).numpy()),
        Path(sample.metainfo.get('img_path') or '').name,
        _packed_objects(sample, scale),
        label_map,
        ignore_index,
    )


def _packed_objects(sample: Any, scale: tuple[float, float]) -> Objects | None:
    parts = []
    for key, ignored in (('gt_instances', False), ('ignored_instances', True)):
        found = getattr(sample, key, None)
        if found is not None and 'bboxes' in found:
            objects = _objects(found.bboxes, found.get('labels'), found.get('masks'), scale)
            parts.append(Objects(objects.corners, objects.labels, objects.ignored | ignored, objects.masks))
    if not parts:
        return None
    masks = [part.masks for part in parts if part.masks is not None]
    return Objects(
        np.concatenate([part.corners for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.ignored for part in parts]),
        np.concatenate(masks) if len(masks) == len(parts) else None,
    )


def _objects(boxes: Any, labels: Any, masks: Any, scale: tuple[float, float]) -> Objects:
    table = _copy(getattr(boxes, 'tensor', boxes), np.float32).reshape(-1, 4)
    return Objects(
        np.nan_to_num(table * np.array(scale * 2, dtype=np.float32)),
        np.zeros(len(table), dtype=np.int64) if labels is None else _copy(labels, np.int64),
        np.zeros(len(table), dtype=np.bool_),
        None if masks is None else masks.to_ndarray().astype(np.bool_),
    )


def _rgb(image: npt.NDArray[Any]) -> Pixels:
    """Return an image of mmcv, [H, W] or [H, W, C] and BGR, as RGB; a single channel becomes grey."""
    channels = image[..., None] if image.ndim == 2 else image
    channels = channels[..., 2::-1] if channels.shape[2] >= 3 else np.repeat(channels[..., :1], 3, axis=2)
    return np.array(np.clip(np.nan_to_num(channels), 0, 255).round(), dtype=np.uint8)


def _copy(values: Any, dtype: type[Scalar]) -> npt.NDArray[Scalar]:
    """Return a copy of an array or of a tensor: later steps may change both in place."""
    return np.array(values.numpy() if isinstance(values, torch.Tensor) else values, dtype=dtype)


def _equal(one: npt.NDArray[Any] | None, two: npt.NDArray[Any] | None) -> bool:
    if one is None or two is None:
        return one is two
    return np.array_equal(one, two)
