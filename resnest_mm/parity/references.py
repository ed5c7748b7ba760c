"""The networks of other packages that the backbone is compared with: the official ones, mmdet's and mmseg's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from mmengine.config import Config
from torch import Tensor, nn

from resnest_mm.errors import UserError
from resnest_mm.models import VARIANTS
from resnest_mm.models.variants import BLOCKS_PER_STAGE
from resnest_mm.parity.pair import INSTALL, STRIDE_8, STRIDE_16, Pair, import_reference
from resnest_mm.weights import from_official

_WITH_GRADIENTS: Final = ('resnest50', 'resnest50_fast_4s2x40d')
_WITHOUT_BUILDER: Final = (14, 26, 152)
_WEIGHTS: Final = ('init_cfg', 'pretrained')
"""Keywords that would download a checkpoint."""


def official_pairs() -> list[Pair]:
    """Return the networks of all builders of the official package, and of its class at depths without a builder.

    Raises:
        UserError: The official package is missing.
    """
    package = import_reference('resnest.torch')
    pairs = [_official_pair(name) for name in VARIANTS if hasattr(package, name)]
    return [*pairs, *(_official_class_pair(depth) for depth in _WITHOUT_BUILDER)]


def dilated_pairs() -> list[Pair]:
    """Return dilated official networks of stride 8 and 16.

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
    """Return the feature map of each stage of an official network; its own forward returns class scores only."""
    parts = dict(network.named_children())
    x = parts['maxpool'](parts['relu'](parts['bn1'](parts['conv1'](images))))
    feature_maps = []
    for stage in ('layer1', 'layer2', 'layer3', 'layer4'):
        x = parts[stage](x)
        feature_maps.append(x)
    return tuple(feature_maps)


def _official_pair(
    name: str,
    *,
    suffix: str = '',
    official: Mapping[str, Any] = MappingProxyType({}),
    ours: Mapping[str, Any] = MappingProxyType({}),
) -> Pair:
    build = getattr(import_reference('resnest.torch'), name)
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
    module = import_reference('resnest.torch.resnet')
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


def mmdet_pairs() -> list[Pair]:
    """Return every backbone of mmdet's ResNeSt configs, and a dilated network of its class, which no config has.

    Raises:
        UserError: mmdet is missing.
    """
    dilated = {'depth': 50, 'norm_eval': False, **STRIDE_8}  # mmdet's default is True
    return [*config_pairs('mmdet'), host_pair('mmdet', dilated, label='mmdet depth 50, stride 8, no config')]


def mmseg_pairs() -> list[Pair]:
    """Return every backbone of mmseg's ResNeSt configs.

    Raises:
        UserError: mmseg is missing.
    """
    return config_pairs('mmseg')


def config_pairs(host: str) -> list[Pair]:
    """Return each different backbone of a host's ResNeSt configs once; the label has the number of its configs.

    Args:
        host: mmdet or mmseg.
    """
    found: list[tuple[dict[str, Any], int]] = []
    for keywords in config_keywords(host):
        index = next((i for i, (other, _) in enumerate(found) if other == keywords), None)
        if index is None:
            found.append((keywords, 1))
        else:
            found[index] = keywords, found[index][1] + 1
    return [
        host_pair(host, keywords, label=f'{host} depth {keywords["depth"]}, {_stride(keywords)}, {count} configs')
        for keywords, count in found
    ]


def config_keywords(host: str) -> list[dict[str, Any]]:
    """Return the backbone's keywords in each of a host's ResNeSt configs, without `type` and checkpoint.

    Args:
        host: mmdet or mmseg.

    Raises:
        UserError: The host is missing, or is installed without its configs.
    """
    folder = Path(import_reference(host).__file__).parent / '.mim' / 'configs' / 'resnest'
    paths = sorted(folder.glob('*.py'))
    if not paths:
        raise UserError(f'{folder} has no configs; reinstall {host} from its wheel: {INSTALL[host]}')
    backbones = (Config.fromfile(path).model.backbone.to_dict() for path in paths)
    return [{key: backbone[key] for key in backbone if key not in ('type', *_WEIGHTS)} for backbone in backbones]


def host_pair(host: str, keywords: Mapping[str, Any], *, label: str) -> Pair:
    """Return the pair of a host's class and ours with the same keywords.

    If the network is dilated, our class also gets the switches for what the host's class leaves out.

    Args:
        host: mmdet or mmseg.
        keywords: Arguments of the host's class.
        label: Name of the network in a table; the switches are appended.

    Raises:
        UserError: The host is missing.
    """
    build = import_reference(f'{host}.models.backbones').ResNeSt
    switches: dict[str, Any] = {}
    if max(keywords.get('dilations', (1,))) > 1:
        switches = {'avd_in_dilated': False, 'contract_dilation': keywords.get('contract_dilation', False)}
    added = ', '.join(f'{name}={value}' for name, value in switches.items() if name not in keywords)
    return Pair(
        label=f'{label} ({added})' if added else label,
        depth=keywords['depth'],
        build_reference=lambda: build(**keywords),
        reference_maps=lambda network, images: network(images),
        rename=lambda state: state,
        keywords={**keywords, **switches},
    )


def _stride(keywords: Mapping[str, Any]) -> str:
    return f'stride {4 * math.prod(keywords.get("strides", (1, 2, 2, 2)))}'


REFERENCES: Final[Mapping[str, Callable[[], list[Pair]]]] = MappingProxyType(
    {'official': official_pairs, 'dilated': dilated_pairs, 'mmdet': mmdet_pairs, 'mmseg': mmseg_pairs}
)
"""The functions that return the pairs, by group; each raises a UserError if its package is missing."""
