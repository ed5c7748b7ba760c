"""Converting between the authors' heads and mmdet's own (stock) heads, where the two differ."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from resnest_mm.errors import ConversionError
from resnest_mm.weights.layouts.names import COUNTER
from resnest_mm.weights.layouts.values import is_equal, is_zero

_MASK: Final = 'roi_head.mask_head.'
_PREDICTOR: Final = ('semantic_head.conv_logits.weight', 'semantic_head.conv_logits.bias')
_SEMANTIC_CONV: Final = re.compile(r'semantic_head\.conv_upsample_layers\.\d+\.conv\.\d+\.conv\.(weight|bias)')
_STAGE: Final = re.compile(r'roi_head\.bbox_head\.(\d+)\.')

ANCHOR_SIZES: Final = (32, 64, 128, 256, 512)
ANCHOR_RATIOS: Final = (0.5, 1.0, 2.0)


def to_stock_heads(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the heads of a detector for mmdet's own cascade and panoptic classes.

    Each stage gets a copy of the mask head; mmdet averages their predictions. The semantic head gets the biases of
    mmdet's head, all zero, and its class "things" moves from the first row to the last.

    Args:
        tensors: The authors' heads by mmdet's names; not modified.
    """
    stages = sorted({match[1] for match in map(_STAGE.match, tensors) if match})
    result: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if key.startswith(_MASK) and stages:
            result.update({f'{_MASK}{stage}.{key[len(_MASK) :]}': value for stage in stages})
        elif key in _PREDICTOR:
            result[key] = value.roll(-1, 0)
        else:
            result[key] = value
            bias = f'{key.removesuffix("weight")}bias'
            norm = f'{key.removesuffix("conv.weight")}bn.weight'
            if _SEMANTIC_CONV.fullmatch(key) and bias not in tensors and norm not in tensors:
                result[bias] = value.new_zeros(value.shape[0])
    return result


def from_stock_heads(tensors: Mapping[str, Tensor], *, stock: bool) -> dict[str, Tensor]:
    """Return the heads of a detector with one mask head and with the authors' semantic head.

    Args:
        tensors: Heads by mmdet's names; not modified.
        stock: Whether the semantic head is mmdet's own. It always is where its convolutions have biases.

    Raises:
        ConversionError: If the stages have different mask heads.
    """
    result = {key: value for key, value in tensors.items() if not re.match(rf'{re.escape(_MASK)}\d+\.', key)}
    result.update(_single_mask_head(tensors))
    biases = [key for key in result if _SEMANTIC_CONV.fullmatch(key) and key.endswith('bias')]
    if stock or biases:
        result.update({key: result[key].roll(1, 0) for key in _PREDICTOR if key in result and result[key].dim()})
    if biases and all(is_zero(result[key]) for key in biases):
        for key in biases:
            del result[key]
    return result


def cell_anchors(rpn_logits: Tensor) -> dict[str, Tensor]:
    """Return the anchors that detectron2 keeps in its checkpoints.

    Args:
        rpn_logits: Bias of the layer that predicts one objectness logit for each anchor at a position.

    Raises:
        ConversionError: If the detector does not have the authors' three anchors at a position.
    """
    if rpn_logits.shape[0] != len(ANCHOR_RATIOS):
        raise ConversionError(
            f'the detector has {rpn_logits.shape[0]} anchors a position; detectron2 keeps anchors in its checkpoints, '
            f'and only the three with the aspect ratios {ANCHOR_RATIOS} are known here'
        )
    anchors = {}
    for level, size in enumerate(ANCHOR_SIZES):
        boxes = []
        for ratio in ANCHOR_RATIOS:
            width = math.sqrt(size**2 / ratio)
            height = ratio * width
            boxes.append([-width / 2, -height / 2, width / 2, height / 2])
        anchors[f'proposal_generator.anchor_generator.cell_anchors.{level}'] = torch.tensor(boxes)
    return anchors


def _single_mask_head(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the one mask head that all stages have copies of; nothing where stages have no mask heads."""
    heads: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if match := re.match(rf'{re.escape(_MASK)}(\d+)\.(.+)', key):
            heads.setdefault(match[1], {})[match[2]] = value
    if not heads:
        return {}
    first, *others = heads.values()
    for other in others:
        if first.keys() != other.keys() or not all(
            first[key].shape == other[key].shape and is_equal(first[key], other[key])
            for key in first
            if not key.endswith(COUNTER)
        ):
            raise ConversionError(
                f"the {len(heads)} stages have different mask heads, which the authors' single one cannot hold; "
                "a detector trained with mmdet's cascade head has no equal in detectron2"
            )
    return {f'{_MASK}{key}': value for key, value in first.items()}
