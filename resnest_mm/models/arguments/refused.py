"""Arguments of other ResNeSt implementations that the backbone refuses, with the reason for each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from resnest_mm.models.arguments.checks import shown

_ALWAYS: Final = 'every ResNeSt has it; remove the argument'
RECTIFIED: Final = (
    'no released network uses rectified convolution and its package is not maintained; remove the argument'
)

REFUSED_KEYWORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        'deep_stem': _ALWAYS,
        'avg_down': _ALWAYS,
        'avd': 'it is called avg_down_stride here',
        'cardinality': 'it is called groups here',
        'bottleneck_width': 'it is called base_width here',
        'stem_width': 'it is half of stem_channels here',
        'last_gamma': 'it is called zero_init_residual here',
        'rectified_conv': RECTIFIED,
        'rectify_avg': RECTIFIED,
        'dropblock_prob': 'the released networks are trained without DropBlock downstream; drop_path_rate regularises',
        'num_classes': 'a backbone has no classifier; remove the argument',
        'norm_layer': 'norms come from a config here: norm_cfg=dict(type=...)',
        'dilated': 'say strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4) instead',
        'output_stride': 'say strides and dilations instead; stride 8 is strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)',
    }
)
"""Keywords that do not exist here, and what to do instead."""


def check_style(style: Any) -> None:
    """Refuse every `style` except 'pytorch'."""
    if not isinstance(style, str):
        raise TypeError(f"style={shown(style)} must be 'pytorch'")
    if style == 'caffe':
        raise ValueError(
            "style='caffe' moves the stride to the first 1x1 convolution, where ResNeSt's average pool cannot take it; "
            "remove it or say style='pytorch'"
        )
    if style != 'pytorch':
        raise ValueError(f"style={shown(style)} is unknown; the only one is 'pytorch'")
