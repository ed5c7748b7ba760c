"""Reading the image and its annotations from the output of a pipeline step, packed for the model or not yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from resnest_mm.annotations.annotated_image import IGNORE_INDEX, AnnotatedImage, ImageObjects, Pixels

Scalar = TypeVar('Scalar', bound=np.generic)

UNSCALED: Final = (1.0, 1.0)


def read_annotated(data: Any, *, scale: tuple[float, float] = UNSCALED) -> AnnotatedImage | None:
    """Return a copy of the image and its annotations, or None where the output holds no image.

    Args:
        data: Output of a transform of mmdet, mmseg or mmcv, packed or not. Its image is BGR, as mmcv loads it; values
            outside 0..255 are clipped.
        scale: Horizontal and vertical factor from the boxes to the image.
    """
    if not isinstance(data, Mapping):
        return None
    if 'data_samples' in data:
        return _read_packed(data['data_samples'], data.get('inputs'), scale)
    return _read_results(data, scale)


def to_objects(
    boxes: Any, labels: Any, *, masks: Any = None, scores: Any = None, scale: tuple[float, float] = UNSCALED
) -> ImageObjects:
    """Return objects from the structures of mmdet; none of them is ignored.

    Args:
        boxes: Corners, as an array, a tensor or mmdet's boxes.
        labels: Indices of classes; None for all 0.
        masks: mmdet's bitmap or polygon masks, an array or a tensor; None without masks.
        scores: Confidence in 0..1; None without scores.
        scale: Horizontal and vertical factor from the boxes to the image.

    Shape:
        - boxes: [N, 4]
        - labels, scores: [N]
        - masks: [N, h, w]
    """
    corners = _copy(getattr(boxes, 'tensor', boxes), np.float32).reshape(-1, 4)
    bitmaps = masks.to_ndarray() if hasattr(masks, 'to_ndarray') else masks
    return ImageObjects(
        np.nan_to_num(corners * np.array(scale * 2, dtype=np.float32)),
        np.zeros(len(corners), dtype=np.int64) if labels is None else _copy(labels, np.int64),
        np.zeros(len(corners), dtype=np.bool_),
        None if bitmaps is None else _copy(bitmaps, np.bool_),
        None if scores is None else _copy(scores, np.float32),
    )


def _read_results(results: Mapping[str, Any], scale: tuple[float, float]) -> AnnotatedImage | None:
    image, label_map = results.get('img'), results.get('gt_seg_map')
    if not isinstance(image, np.ndarray):
        return None
    objects = None
    if results.get('gt_bboxes') is not None:
        objects = to_objects(
            results['gt_bboxes'], results.get('gt_bboxes_labels'), masks=results.get('gt_masks'), scale=scale
        )
        flags = results.get('gt_ignore_flags')
        ignored = objects.ignored if flags is None else _copy(flags, np.bool_)
        objects = ImageObjects(objects.corners, objects.labels, ignored, objects.masks)
    return AnnotatedImage(
        _rgb(image),
        Path(results.get('img_path') or '').name,
        objects,
        None if label_map is None else _copy(label_map, np.int64),
        int(results.get('ignore_index', IGNORE_INDEX)),
    )


def _read_packed(sample: Any, inputs: Any, scale: tuple[float, float]) -> AnnotatedImage | None:
    if getattr(inputs, 'ndim', None) != 3:
        return None
    label_map, ignore_index = None, IGNORE_INDEX
    if 'gt_sem_seg' in sample:
        packed = sample.gt_sem_seg
        # mmdet calls the field sem_seg, mmseg data.
        label_map = _copy(packed.sem_seg if 'sem_seg' in packed else packed.data, np.int64)[0]
        ignore_index = int(packed.get('ignore_index', IGNORE_INDEX))
    return AnnotatedImage(
        _rgb(inputs.permute(1, 2, 0).numpy()),
        Path(sample.metainfo.get('img_path') or '').name,
        _packed_objects(sample, scale),
        label_map,
        ignore_index,
    )


def _packed_objects(sample: Any, scale: tuple[float, float]) -> ImageObjects | None:
    parts = []
    for key, ignored in (('gt_instances', False), ('ignored_instances', True)):
        found = getattr(sample, key, None)
        if found is not None and 'bboxes' in found:
            objects = to_objects(found.bboxes, found.get('labels'), masks=found.get('masks'), scale=scale)
            parts.append(ImageObjects(objects.corners, objects.labels, objects.ignored | ignored, objects.masks))
    if not parts:
        return None
    masks = [part.masks for part in parts if part.masks is not None]
    return ImageObjects(
        np.concatenate([part.corners for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.ignored for part in parts]),
        np.concatenate(masks) if len(masks) == len(parts) else None,
    )


def _rgb(image: npt.NDArray[Any]) -> Pixels:
    """Return an image of mmcv, [H, W] or [H, W, C] and BGR, as RGB; a single channel becomes grey."""
    channels = image[..., None] if image.ndim == 2 else image
    channels = channels[..., 2::-1] if channels.shape[2] >= 3 else np.repeat(channels[..., :1], 3, axis=2)
    return np.array(np.clip(np.nan_to_num(channels), 0, 255).round(), dtype=np.uint8)


def _copy(values: Any, dtype: type[Scalar]) -> npt.NDArray[Scalar]:
    """Return a copy of an array or of a tensor: later steps may change both in place."""
    return np.array(values.cpu().numpy() if isinstance(values, torch.Tensor) else values, dtype=dtype)
