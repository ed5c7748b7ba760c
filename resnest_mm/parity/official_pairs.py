"""The official package's networks and their counterparts here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from torch import Tensor, nn

from resnest_mm.models import VARIANTS
from resnest_mm.models.variants import BLOCKS_PER_STAGE
from resnest_mm.parity.pairs import STRIDE_8, STRIDE_16, Pair, import_oracle
from resnest_mm.weights import from_official

_WITH_GRADIENTS: Final = ('resnest50', 'resnest50_fast_4s2x40d')
_WITHOUT_BUILDER: Final = (14, 26, 152)


def official_pairs() -> list[Pair]:
    """Return all builders of the official package, then its class at the depths that it has no builder for.

    Raises:
        UserError: The official package is missing.
    """
    package = import_oracle('resnest.torch')
    pairs = [_official_pair(name) for name in VARIANTS if hasattr(package, name)]
    return [*pairs, *(_official_class_pair(depth) for depth in _WITHOUT_BUILDER)]


def dilated_pairs() -> list[Pair]:
    """Return official networks of stride 8 and 16.

    Raises:
        UserError: The official package is missing.
    """
    names = ('resnest50', 'resnest101', 'resnest50_fast_4s2x40d')
    return [
        _official_pair(name, suffix=f', stride {stride}', official=official, ours=ours)
        for name in names
        for stride, official, ours in ((8, {'dilated': True}, STRIDE_8), (16, {'dilation': 2}, STRIDE_16))
    ]


def official_maps(network: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    """Return the output of each stage of an official network, which itself returns class scores only."""
    parts = dict(network.named_children())
    x = parts['maxpool'](parts['relu'](parts['bn1'](parts['conv1'](images))))
    maps = []
    for stage in ('layer1', 'layer2', 'layer3', 'layer4'):
        x = parts[stage](x)
        maps.append(x)
    return tuple(maps)


def _official_pair(
    name: str,
    *,
    suffix: str = '',
    official: Mapping[str, Any] = MappingProxyType({}),
    ours: Mapping[str, Any] = MappingProxyType({}),
) -> Pair:
    build = getattr(import_oracle('resnest.torch'), name)
    return Pair(
        label=name + suffix,
        depth=VARIANTS[name].depth,
        build_reference=lambda: build(**official),
        reference_maps=official_maps,
        rename=from_official,
        keywords={'variant': name, **ours},
        gradients=name in _WITH_GRADIENTS and not suffix,
    )


def _official_class_pair(depth: int) -> Pair:
    module = import_oracle('resnest.torch.resnet')
    return Pair(
        label=f'official class, depth {depth}',
        depth=depth,
        build_reference=lambda: module.ResNet(
            module.Bottleneck,
            list(BLOCKS_PER_STAGE[depth]),
            radix=2,
            deep_stem=True,
            stem_width=32 if depth <= 50 else 64,
            avg_down=True,
            avd=True,
        ),
        reference_maps=official_maps,
        rename=from_official,
        keywords={'depth': depth},
    )
