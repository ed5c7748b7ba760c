"""Checks for the multi-scale sliding evaluation: scales, segmentor and images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from torch import Tensor

SCALES: Final = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
"""The scales of PyTorch-Encoding."""

_PIPELINE: Final = 'tta_pipeline must be LoadImageFromFile, LoadAnnotations and PackSegInputs only'


def check_scales(scales: Any) -> tuple[float, ...]:
    """Return `scales` as a tuple of floats if it has one or more numbers above 0."""
    if isinstance(scales, str) or not isinstance(scales, Sequence):
        raise TypeError(f'scales={scales!r} must be a tuple of numbers above 0, such as {SCALES}')
    if not scales:
        raise ValueError(f'scales={scales!r} must have at least one number above 0, such as {SCALES}')
    for index, scale in enumerate(scales):
        if isinstance(scale, bool) or not isinstance(scale, int | float):
            raise TypeError(f'scales[{index}]={scale!r} must be a number above 0')
        if not 0 < scale < math.inf:
            raise ValueError(f'scales[{index}]={scale} must be a number above 0')
    return tuple(float(scale) for scale in scales)


def check_segmentor(module: Any) -> None:
    """Refuse a module that does not return logits with two or more channels."""
    name = type(module).__name__
    if not callable(getattr(module, 'encode_decode', None)):
        raise TypeError(f'module is a {name} without encode_decode; use a segmentor such as EncoderDecoder')
    if getattr(module, 'out_channels', None) == 1:
        raise ValueError(
            f'module is a {name} with out_channels=1, whose logits are for a sigmoid; here the largest of several '
            "channels decides. Use mmseg's SegTTAModel, or train with num_classes=2, out_channels=2"
        )


def check_original(image: Any, sample: Any) -> None:
    """Refuse an image that was resized or flipped, or that comes in several versions."""
    if not isinstance(image, Tensor):
        raise ValueError(f'an image is a {type(image).__name__} and must be a tensor; {_PIPELINE}')
    original, size = sample.metainfo.get('ori_shape'), tuple(image.shape[-2:])
    if original is not None and tuple(original[:2]) != size:
        raise ValueError(f'an image of size {tuple(original[:2])} was resized to {size}; {_PIPELINE}')
    if sample.metainfo.get('flip'):
        raise ValueError(f'an image is flipped; {_PIPELINE}')
