"""The key layouts of ResNeSt backbones, one table each.

To add a layout, add a table to `_TABLES`; detection, conversions, tools and the tests of all layouts read nothing else.
Then replace the tables in `docs/weights.md` by the output of `python tools/convert_checkpoint.py --matrix`. A network
that computes its gates differently also needs a `read` and a `write`, see `reimplementations.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from resnest_mm.errors import ConversionError
from resnest_mm.weights.layouts.key_layout import SAME, Adapt, KeyLayout
from resnest_mm.weights.layouts.names import OFFSET
from resnest_mm.weights.layouts.reimplementations import (
    read_glasses,
    read_zcls,
    write_dense_glasses,
    write_glasses,
    write_zcls,
)

_OFFICIAL_STEM: Final = ('conv1.0', 'conv1.1', 'conv1.3', 'conv1.4', 'conv1.6', 'bn1')
_CONV_MODULES: Final = ('stem.0.conv', 'stem.0.bn', 'stem.1.conv', 'stem.1.bn', 'stem.2.conv', 'stem.2.bn')
_DETECTRON2_BLOCK: Final = {
    **SAME,
    'bn1': 'conv1.norm',
    'bn3': 'conv3.norm',
    'downsample.1': 'shortcut',
    'downsample.2': 'shortcut.norm',
    OFFSET: 'conv2_offset',
}
_ZCLS_BLOCK: Final = {
    **SAME,
    'conv2.conv': 'conv2.split.0',
    'conv2.bn0': 'conv2.split.1',
    'conv2.fc1': 'conv2.compact.0',
    'conv2.bn1': 'conv2.compact.1',
    'conv2.fc2': 'conv2.select',
    'downsample.1': 'down_sample.1',
    'downsample.2': 'down_sample.2',
}
_GLASSES_BLOCK: Final = {
    'conv1': 'block.0.conv',
    'bn1': 'block.0.bn',
    'conv2.conv': 'block.2.conv',
    'conv2.bn0': 'block.2.bn',
    'conv2.fc1': 'block.3.att.2.conv',
    'conv2.bn1': 'block.3.att.2.bn',
    'conv2.fc2': 'block.3.att.3',
    'conv3': 'block.5.conv',
    'bn3': 'block.5.bn',
    'downsample.1': 'shortcut.conv',
    'downsample.2': 'shortcut.bn',
}


def _zcls(name: str, title: str, write: Adapt) -> KeyLayout:
    return KeyLayout(
        name,
        title,
        block=_ZCLS_BLOCK,
        counts_pools=False,
        prefix='backbone.',
        classifier='head.fc',
        read=read_zcls,
        write=write,
    )


def _glasses(name: str, title: str, write: Adapt) -> KeyLayout:
    return KeyLayout(
        name,
        title,
        stem=_CONV_MODULES,
        block=_GLASSES_BLOCK,
        stages=('layers.0', 'layers.1', 'layers.2', 'layers.3'),
        prefix='encoder.',
        classifier='head.fc',
        read=read_glasses,
        write=write,
    )


_TABLES: Final = (
    KeyLayout(
        'official',
        'official (also timm) layout',
        stem=_OFFICIAL_STEM,
        model_prefix='pretrained.',
        classifier='fc',
        heads={'segmentor': ('head', 'auxlayer')},  # of PyTorch-Encoding
        aliases={'timm': '', 'torchhub': '', 'encoding': 'pretrained.', 'smp': ''},
    ),
    KeyLayout(
        'mmdet',
        'mmdet and mmseg layout',
        block={**SAME, OFFSET: OFFSET},
        model_prefix='backbone.',
        drops=('fc', 'head.fc'),
        heads={
            'segmentor': ('decode_head', 'auxiliary_head'),
            'detector': ('neck', 'rpn_head', 'roi_head', 'bbox_head', 'mask_head', 'semantic_head'),
        },
        entry='state_dict',
        aliases={'mmseg': '', 'resnest_mm': ''},
    ),
    KeyLayout(
        'detectron2',
        'detectron2 layout',
        stem=tuple(f'stem.conv1_{index}{norm}' for index in (1, 2, 3) for norm in ('', '.norm')),
        block=_DETECTRON2_BLOCK,
        stages=('res2', 'res3', 'res4', 'res5'),
        without_counters=('stem.', 'layer1.'),  # frozen there, and a frozen norm has no counter
        prefix='backbone.bottom_up.',
        drops=('fc', 'linear'),
        heads={'detector': ('proposal_generator', 'roi_heads', 'sem_seg_head')},
        entry='model',
        aliases={'d2': 'backbone.bottom_up.'},
    ),
    KeyLayout(
        'mmpretrain',
        'mmpretrain layout',
        stem=_CONV_MODULES,
        counts_pools=False,
        prefix='backbone.',
        classifier='head.fc',
        entry='state_dict',
    ),
    KeyLayout(
        'gluon',
        'Gluon layout',
        stem=_OFFICIAL_STEM,
        block={**SAME, 'conv2.bn0': 'conv2.bn'},
        norm={'weight': 'gamma', 'bias': 'beta'},
        without_counters=('',),
        classifier='fc',
    ),
    _zcls('zcls', 'ZCls layout', write_zcls),
    _zcls('zcls-bias', 'ZCls layout with a bias in compact.0', dict),
    _glasses('glasses', 'glasses layout', write_glasses),
    _glasses('glasses-dense', 'glasses layout with ungrouped gates', write_dense_glasses),
)
LAYOUTS: Final[Mapping[str, KeyLayout]] = MappingProxyType({table.name: table for table in _TABLES})
"""All layouts by name."""

OWN: Final = LAYOUTS['mmdet']
"""The layout of this package's own backbone."""

ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {alias: table.name for table in _TABLES for alias in table.aliases}
)
"""Other names of layouts, and the name in `LAYOUTS` that each stands for."""


def find_layout(name: str) -> KeyLayout:
    """Return the layout of this name or alias.

    Raises:
        ConversionError: If there is none.
    """
    layout = LAYOUTS.get(ALIASES.get(name, name))
    if layout is None:
        raise ConversionError(f'there is no layout {name!r}; choose one of {", ".join([*LAYOUTS, *ALIASES])}')
    return layout
