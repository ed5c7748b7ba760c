"""Converting whole segmentation models from PyTorch-Encoding to mmseg, and back.

mmseg has no equal of PyTorch-Encoding's DeepLabV3 head. Its layers are named here as in `resnest_mm.DeepLabV3Head`:
`branches` (four), `image_pool`, `project`, `convs` (one) and `conv_seg`, all but the last of them a `conv` and a `bn`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from torch import Tensor

from resnest_mm.errors import ConversionError
from resnest_mm.weights.convert.backbone import split_model, write_backbone
from resnest_mm.weights.convert.head_parts import Part, Size, rename_parts
from resnest_mm.weights.convert.tensors import Value, as_tensors, check_dtypes
from resnest_mm.weights.layouts.tables import find_layout

SEGMENTOR_LAYOUTS: Final = ('encoding', 'mmseg')
_SOFTWARE: Final[Mapping[str, str]] = {'official': 'encoding', 'mmdet': 'mmseg'}


def convert_segmentor(
    state: Mapping[str, Value], *, source: str = 'auto', target: str = 'mmseg', dropped: list[str] | None = None
) -> dict[str, Tensor]:
    """Return a segmentation model under the names of the other software.

    From mmseg to mmseg the heads, of any kind, stay as they are and the backbone is checked.

    Args:
        state: Tensors or numpy arrays by name, also inside a dict such as `{'state_dict': ...}`. Not modified.
        source: 'encoding', 'mmseg' or 'auto', which looks at the keys.
        target: 'encoding' or 'mmseg'.
        dropped: A list to which the keys left out are added.

    Raises:
        ConversionError: On unknown or missing keys and other shapes.
    """
    tensors = as_tensors(state, dropped=dropped)
    found, backbone, heads = split_model(tensors, 'segmentor', source=source)
    name = _SOFTWARE[found.layout.name]
    target = _SOFTWARE.get(target, target)
    if target not in SEGMENTOR_LAYOUTS:
        raise ConversionError(
            f'segmentors are converted between {" and ".join(SEGMENTOR_LAYOUTS)}, and target={target!r} is neither'
        )
    if name != target:
        check_dtypes(heads)
        sizes = {f'C{level}': stage.out_channels for level, stage in enumerate(backbone.architecture.stages, 2)}
        parts = list(segmentor_parts(heads))
        subject = f'segmentation model of {name}'
        heads = rename_parts(heads, parts, to_ours=target == 'mmseg', subject=subject, sizes=sizes)
    if dropped is not None:
        dropped += backbone.dropped
    wanted = find_layout(target)
    return {**write_backbone(backbone, wanted, prefix=wanted.prefix_in_models), **heads}


def segmentor_parts(keys: Iterable[str]) -> Iterator[Part]:
    """Yield all layers of the heads that a segmentation model has.

    Args:
        keys: The keys beside its backbone, of either software.
    """
    names = list(keys)
    if any(name.startswith(('head.aspp.', 'head.block.', 'decode_head.branches.')) for name in names):
        yield from _deeplab_head()
    else:
        yield from _fcn_head('head.conv5', 'decode_head', 'C5')
    if any(name.startswith(('auxlayer.', 'auxiliary_head.')) for name in names):
        yield from _fcn_head('auxlayer.conv5', 'auxiliary_head', 'C4')


def _fcn_head(theirs: str, ours: str, inputs: str) -> Iterator[Part]:
    yield _conv(f'{theirs}.0', f'{theirs}.1', f'{ours}.convs.0', (f'{ours} width', inputs, 3, 3))
    yield Part(f'{theirs}.4', f'{ours}.conv_seg', ('classes', f'{ours} width', 1, 1), bias=True)


def _deeplab_head() -> Iterator[Part]:
    for index in range(4):
        kernel = 3 if index else 1
        theirs = f'head.aspp.b{index}'
        yield _conv(f'{theirs}.0', f'{theirs}.1', f'decode_head.branches.{index}', ('width', 'C5', kernel, kernel))
    pool = 'head.aspp.b4.gap'
    yield _conv(f'{pool}.1', f'{pool}.2', 'decode_head.image_pool', ('width', 'C5', 1, 1))
    project = 'head.aspp.project'
    yield _conv(f'{project}.0', f'{project}.1', 'decode_head.project', ('width', (5, 'width'), 1, 1))
    yield _conv('head.block.0', 'head.block.1', 'decode_head.convs.0', ('width', 'width', 3, 3))
    yield Part('head.block.4', 'decode_head.conv_seg', ('classes', 'width', 1, 1), bias=True)


def _conv(conv: str, norm: str, ours: str, shape: tuple[Size, ...]) -> Part:
    return Part(conv, f'{ours}.conv', shape, norms=(norm, f'{ours}.bn'))
