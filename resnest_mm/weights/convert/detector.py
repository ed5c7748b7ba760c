"""Converting whole detectors between detectron2 and mmdet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from torch import Tensor

from resnest_mm.errors import ConversionError
from resnest_mm.weights.convert.backbone import Backbone, split_model, write_backbone
from resnest_mm.weights.convert.detector_layers import detector_layers, read_structure
from resnest_mm.weights.convert.heads import rename_heads
from resnest_mm.weights.convert.stock_heads import cell_anchors, from_stock_heads, to_stock_heads
from resnest_mm.weights.convert.tensors import Value, as_tensors, check_dtypes
from resnest_mm.weights.layouts.tables import find_layout

DETECTOR_LAYOUTS: Final = ('detectron2', 'mmdet')
_COMPUTED: Final = re.compile(r'proposal_generator\.anchor_generator\.cell_anchors\.\d+|pixel_mean|pixel_std')
"""What detectron2 keeps in checkpoints and mmdet takes from the config."""

_LOGITS: Final = 'proposal_generator.rpn_head.objectness_logits.bias'


def convert_detector(
    state: Mapping[str, Value],
    *,
    source: str = 'auto',
    target: str = 'mmdet',
    stock_heads: bool = False,
    dense_offsets: bool | None = None,
    dropped: list[str] | None = None,
) -> dict[str, Tensor]:
    """Return a detector of the R-CNN family in the layout of detectron2 or mmdet.

    From mmdet to mmdet the heads may be of any kind and stay as they are; the backbone is checked.

    Args:
        state: Tensors or numpy arrays by name, also inside a dict such as `{'model': ...}`. Not modified.
        source: 'detectron2', 'mmdet', or 'auto' to detect it from the keys.
        target: 'detectron2' or 'mmdet'.
        stock_heads: Whether the heads in mmdet's layout are those of mmdet's own classes where these differ from the
            authors': one mask head for each stage of a cascade, and a semantic head with biases and with the class
            "things" last.
        dense_offsets: As in `convert_backbone`.
        dropped: A list to which the keys left out are added.

    Raises:
        ConversionError: On unknown or missing keys, other shapes, and values without an equal in the target layout.
    """
    tensors = as_tensors(state, dropped=dropped)
    target_layout = find_layout(target)
    found, backbone, heads = split_model(tensors, 'detector', source=source)
    if target_layout.name not in DETECTOR_LAYOUTS:
        raise ConversionError(
            f'detectors are converted between {" and ".join(DETECTOR_LAYOUTS)}, and target={target!r} is neither'
        )
    left_out = list(backbone.dropped)
    if found.layout is not target_layout:
        check_dtypes(heads)
        to_mmdet = target_layout.name == 'mmdet'
        computed = [key for key in heads if to_mmdet and _COMPUTED.fullmatch(key)]
        left_out += [f'{found.layout.before_model(found.prefix)}{key}' for key in computed]
        convert = _to_mmdet if to_mmdet else _to_detectron2
        heads = convert({key: heads[key] for key in heads if key not in computed}, backbone, stock=stock_heads)
    elif stock_heads and target_layout.name == 'mmdet':
        heads = to_stock_heads(from_stock_heads(heads, stock=False))
    if dropped is not None:
        dropped += left_out
    prefix = target_layout.prefix_in_models
    return {**write_backbone(backbone, target_layout, prefix=prefix, dense_offsets=dense_offsets), **heads}


def _to_mmdet(heads: Mapping[str, Tensor], backbone: Backbone, *, stock: bool) -> dict[str, Tensor]:
    layers = detector_layers(read_structure(heads, of_mmdet=False))
    sizes = _sizes(backbone)
    renamed = rename_heads(heads, layers, to_host=True, subject='detector of detectron2', sizes=sizes)
    _check_classes(sizes)
    return to_stock_heads(renamed) if stock else renamed


def _to_detectron2(heads: Mapping[str, Tensor], backbone: Backbone, *, stock: bool) -> dict[str, Tensor]:
    single = from_stock_heads(heads, stock=stock)
    layers = detector_layers(read_structure(single, of_mmdet=True))
    sizes = _sizes(backbone)
    renamed = rename_heads(single, layers, to_host=False, subject='detector of mmdet', sizes=sizes)
    _check_classes(sizes)
    return {**renamed, **cell_anchors(renamed[_LOGITS])}


def _sizes(backbone: Backbone) -> dict[str, int]:
    stages = backbone.architecture.stages
    if len(stages) != 4:
        raise ConversionError(f"the detector's backbone has {len(stages)} stages, and its pyramid needs 4")
    return {f'C{level}': stage.out_channels for level, stage in enumerate(stages, 2)}


def _check_classes(sizes: Mapping[str, int]) -> None:
    classes = sizes['scores'] - 1  # the last score is the background's
    masks = sizes.get('masks', classes)
    if sizes['boxes'] not in (4, 4 * classes) or masks not in (1, classes):
        raise ConversionError(
            f'the detector scores {classes} classes but predicts {sizes["boxes"]} box values and {masks} masks'
        )
