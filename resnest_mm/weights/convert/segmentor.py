"""Converting whole segmentation models between PyTorch-Encoding and mmseg.

No head of mmseg computes the same as PyTorch-Encoding's DeepLabV3 head. Its tensors get the names of
`resnest_mm.DeepLabV3Head`, where `branches` (four), `image_pool`, `project` and `convs` (one) have a `conv` and a `bn`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from torch import Tensor

from resnest_mm.errors import ConversionError
from resnest_mm.weights.convert.backbone import split_model, write_backbone
from resnest_mm.weights.convert.heads import HeadLayer, Size, rename_heads
from resnest_mm.weights.convert.tensors import Value, as_tensors, check_dtypes
from resnest_mm.weights.layouts.tables import find_layout

SEGMENTOR_LAYOUTS: Final = ('encoding', 'mmseg')
_SOFTWARE: Final[Mapping[str, str]] = {'official': 'encoding', 'mmdet': 'mmseg'}
"""The software whose segmentation models have backbones of a layout, by the layout's name."""


def convert_segmentor(
    state: Mapping[str, Value], *, source: str = 'auto', target: str = 'mmseg', dropped: list[str] | None = None
) -> dict[str, Tensor]:
    """Return a segmentation model in the layout of PyTorch-Encoding or mmseg.

    From mmseg to mmseg the heads may be of any kind and stay as they are; the backbone is checked.

    Args:
        state: Tensors or numpy arrays by name, also inside a dict such as `{'state_dict': ...}`. Not modified.
        source: 'encoding', 'mmseg', or 'auto' to detect it from the keys.
        target: 'encoding' or 'mmseg'.
        dropped: A list to which the keys left out are added.

    Raises:
        ConversionError: On unknown or missing keys and other shapes.
    """
    tensors = as_tensors(state, dropped=dropped)
    found, backbone, heads = split_model(tensors, 'segmentor', source=source)
    software, target_software = _SOFTWARE[found.layout.name], _SOFTWARE.get(target, target)
    if target_software not in SEGMENTOR_LAYOUTS:
        raise ConversionError(
            f'segmentors are converted between {" and ".join(SEGMENTOR_LAYOUTS)}, and target={target!r} is neither'
        )
    if software != target_software:
        check_dtypes(heads)
        sizes = {f'C{level}': stage.out_channels for level, stage in enumerate(backbone.architecture.stages, 2)}
        heads = rename_heads(
            heads,
            segmentor_layers(heads),
            to_host=target_software == 'mmseg',
            subject=f'segmentation model of {software}',
            sizes=sizes,
        )
    if dropped is not None:
        dropped += backbone.dropped
    target_layout = find_layout(target_software)
    return {**write_backbone(backbone, target_layout, prefix=target_layout.prefix_in_models), **heads}


def segmentor_layers(keys: Iterable[str]) -> Iterator[HeadLayer]:
    """Yield all layers of the heads of a segmentation model.

    Args:
        keys: Its keys without those of the backbone, in the layout of either software.
    """
    names = list(keys)
    if any(name.startswith(('head.aspp.', 'head.block.', 'decode_head.branches.')) for name in names):
        yield from _deeplab_head()
    else:
        yield from _fcn_head('head.conv5', 'decode_head', 'C5')
    if any(name.startswith(('auxlayer.', 'auxiliary_head.')) for name in names):
        yield from _fcn_head('auxlayer.conv5', 'auxiliary_head', 'C4')


def _fcn_head(authors: str, host: str, inputs: str) -> Iterator[HeadLayer]:
    yield _conv(f'{authors}.0', f'{authors}.1', f'{host}.convs.0', (f'{host} width', inputs, 3, 3))
    yield HeadLayer(f'{authors}.4', f'{host}.conv_seg', ('classes', f'{host} width', 1, 1), bias=True)


def _deeplab_head() -> Iterator[HeadLayer]:
    for index in range(4):
        kernel = 3 if index else 1
        authors = f'head.aspp.b{index}'
        yield _conv(f'{authors}.0', f'{authors}.1', f'decode_head.branches.{index}', ('width', 'C5', kernel, kernel))
    pool = 'head.aspp.b4.gap'
    yield _conv(f'{pool}.1', f'{pool}.2', 'decode_head.image_pool', ('width', 'C5', 1, 1))
    project = 'head.aspp.project'
    yield _conv(f'{project}.0', f'{project}.1', 'decode_head.project', ('width', (5, 'width'), 1, 1))
    yield _conv('head.block.0', 'head.block.1', 'decode_head.convs.0', ('width', 'width', 3, 3))
    yield HeadLayer('head.block.4', 'decode_head.conv_seg', ('classes', 'width', 1, 1), bias=True)


def _conv(conv: str, norm: str, host: str, shape: tuple[Size, ...]) -> HeadLayer:
    return HeadLayer(conv, f'{host}.conv', shape, norms=(norm, f'{host}.bn'))
