"""Converting whole detectors between detectron2 and mmdet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from torch import Tensor

from resnest_mm.errors import ConversionError
from resnest_mm.weights.convert.backbone import Backbone, split_model, write_backbone
from resnest_mm.weights.convert.detector_parts import detector_parts, read_structure
from resnest_mm.weights.convert.head_parts import rename_parts
from resnest_mm.weights.convert.stock_heads import cell_anchors, from_stock_heads, to_stock_heads
from resnest_mm.weights.convert.tensors import Value, as_tensors, check_dtypes
from resnest_mm.weights.layouts.tables import find_layout

DETECTOR_LAYOUTS: Final = ('detectron2', 'mmdet')
_DROPPED: Final = re.compile(r'proposal_generator\.anchor_generator\.cell_anchors\.\d+|pixel_mean|pixel_std')
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
    """Return a detector of the R-CNN family under the names of the other software.

    From mmdet to mmdet the heads, of any kind, stay as they are and the backbone is checked.

    Args:
        state: Tensors or numpy arrays by name, also inside a dict such as `{'model': ...}`. Not modified.
        source: 'detectron2', 'mmdet' or 'auto', which looks at the keys.
        target: 'detectron2' or 'mmdet'.
        stock_heads: Whether the heads on mmdet's side are mmdet's own where those differ from the authors': a mask head
            for every stage of a cascade, a semantic head with biases and with "things" as its last class.
        dense_offsets: Whether deformable offsets are to be predicted by mmcv's ungrouped convolutions (True) or by
            grouped ones (False). None leaves them as they are in `state`.
        dropped: A list to which the keys left out are added.

    Raises:
        ConversionError: On unknown or missing keys, other shapes, and what the target cannot hold.
    """
    tensors = as_tensors(state, dropped=dropped)
    wanted = find_layout(target)
    found, backbone, heads = split_model(tensors, 'detector', source=source)
    if wanted.name not in DETECTOR_LAYOUTS:
        raise ConversionError(
            f'detectors are converted between {" and ".join(DETECTOR_LAYOUTS)}, and target={target!r} is neither'
        )
    layout, base = found.layout, found.layout.before_model(found.prefix)
    left_out = [key for key in heads if layout.name == 'detectron2' and _DROPPED.fullmatch(key)]
    if layout is not wanted:
        check_dtypes(heads)
        heads = {key: value for key, value in heads.items() if key not in left_out}
        convert = _to_mmdet if wanted.name == 'mmdet' else _to_detectron2
        heads = convert(heads, backbone, stock=stock_heads)
        if dropped is not None:
            dropped += [f'{base}{key}' for key in left_out]
    elif stock_heads and wanted.name == 'mmdet':
        heads = to_stock_heads(from_stock_heads(heads, stock=False))
    if dropped is not None:
        dropped += backbone.dropped
    tensors = write_backbone(backbone, wanted, prefix=wanted.prefix_in_models, dense_offsets=dense_offsets)
    return {**tensors, **heads}


def _to_mmdet(heads: Mapping[str, Tensor], backbone: Backbone, *, stock: bool) -> dict[str, Tensor]:
    structure = read_structure(heads, of_mmdet=False)
    sizes = _sizes(backbone)
    renamed = rename_parts(
        heads, detector_parts(structure), to_ours=True, subject='detector of detectron2', sizes=sizes
    )
    _check_classes(sizes)
    return to_stock_heads(renamed) if stock else renamed


def _to_detectron2(heads: Mapping[str, Tensor], backbone: Backbone, *, stock: bool) -> dict[str, Tensor]:
    single = from_stock_heads(heads, stock=stock)
    structure = read_structure(single, of_mmdet=True)
    sizes = _sizes(backbone)
    renamed = rename_parts(single, detector_parts(structure), to_ours=False, subject='detector of mmdet', sizes=sizes)
    _check_classes(sizes)
    return {**renamed, **cell_anchors(renamed[_LOGITS])}


def _sizes(backbone: Backbone) -> dict[str, int]:
    stages = backbone.architecture.stages
    if len(stages) != 4:
        raise ConversionError(f"the detector's backbone has {len(stages)} stages, and its pyramid needs 4")
    return {f'C{level}': stage.out_channels for level, stage in enumerate(stages, 2)}


def _check_classes(sizes: Mapping[str, int]) -> None:
    classes = sizes['scores'] - 1  # the last one is the background
    masks = sizes.get('masks', classes)
    if sizes['boxes'] not in (4, 4 * classes) or masks not in (1, classes):
        raise ConversionError(
            f'the detector scores {classes} classes but predicts {sizes["boxes"]} box values and {masks} masks'
        )
