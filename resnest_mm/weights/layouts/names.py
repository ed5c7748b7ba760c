"""What the modules and tensors of a backbone are called in this package, which are mmdet's and mmseg's names."""

from __future__ import annotations

from typing import Final

STEM: Final = ('stem.0', 'stem.1', 'stem.3', 'stem.4', 'stem.6', 'stem.7')
"""The three convolutions of the stem, each followed by its norm."""

STAGES: Final = ('layer1', 'layer2', 'layer3', 'layer4')

BLOCK: Final = (
    'conv1',
    'bn1',
    'conv2.conv',
    'conv2.bn0',
    'conv2.fc1',
    'conv2.bn1',
    'conv2.fc2',
    'conv3',
    'bn3',
    'downsample.1',
    'downsample.2',
)
"""The modules with tensors in a bottleneck; only the first of a stage has a shortcut with a convolution and a norm."""

OFFSET: Final = 'conv2.conv.conv_offset'
"""The module that predicts the offsets in a bottleneck with a deformable convolution."""

NORMS: Final = frozenset({'stem.1', 'stem.4', 'stem.7', 'bn1', 'conv2.bn0', 'conv2.bn1', 'bn3', 'downsample.2'})
"""Those of the stem and of a bottleneck that are norms."""

COUNTER: Final = 'num_batches_tracked'
"""Torch's name of the number of batches that a norm has seen, an integer without influence in evaluation."""


def with_dot(prefix: str) -> str:
    """Return a prefix of keys with the dot at its end, which users may leave out; no prefix stays none."""
    return prefix if not prefix or prefix.endswith('.') else f'{prefix}.'
